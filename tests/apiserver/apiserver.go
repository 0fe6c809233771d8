// Package apiserver starts a real Kubernetes API server with its etcd for tests: no
// kubelets, no controllers, on loopback. The program that is both is named in the
// environment: it needs far more modules than the driver's.
package apiserver

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
)

// Program is the environment variable that names the program to start: one that is
// etcd or kube-apiserver, by its first argument.
const Program = "HOSTPATH_CSI_TEST_KUBE"

// patience bounds the start of a server, on a machine that does much else.
const patience = 3 * time.Minute

// Server is an API server and its etcd. Its clients are members of system:masters.
type Server struct {
	program, dir string
	token        string
	etcdURL      string
	port         int
	etcd, api    *exec.Cmd
}

// Start starts both in a directory, which is the caller's to remove after Stop.
func Start(ctx context.Context, dir string) (*Server, error) {
	program := os.Getenv(Program)
	if program == "" {
		return nil, fmt.Errorf("%s does not name the program that is etcd and kube-apiserver: run `make kube-store`", Program)
	}
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	token := make([]byte, 16)
	rand.Read(token) // never fails, by its contract
	s := &Server{program: program, dir: dir, token: hex.EncodeToString(token), etcdURL: loopback("http", ports[0]), port: ports[2]}
	if err := s.writeKeys(); err != nil {
		return nil, err
	}
	peer := loopback("http", ports[1])
	s.etcd, err = s.run("etcd", "--data-dir="+filepath.Join(dir, "etcd"), "--unsafe-no-fsync",
		"--listen-client-urls="+s.etcdURL, "--advertise-client-urls="+s.etcdURL,
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=default="+peer)
	if err != nil {
		return nil, err
	}
	if err := s.StartAPI(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// StartAPI starts the API server, again after KillAPI, and waits until it is ready.
func (s *Server) StartAPI(ctx context.Context) (err error) {
	s.api, err = s.run("kube-apiserver", "--etcd-servers="+s.etcdURL, "--cert-dir="+filepath.Join(s.dir, "certs"),
		"--bind-address=127.0.0.1", "--secure-port="+strconv.Itoa(s.port), "--service-cluster-ip-range=10.96.0.0/24",
		"--service-account-issuer=https://kubernetes.default.svc", "--authorization-mode=RBAC", "--allow-privileged=true",
		"--service-account-key-file="+filepath.Join(s.dir, "sa.key"), "--service-account-signing-key-file="+filepath.Join(s.dir, "sa.key"),
		"--token-auth-file="+filepath.Join(s.dir, "tokens.csv"))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err = wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		client, err := discovery.NewDiscoveryClientForConfig(s.Config())
		if err != nil {
			return false, nil // its certificate is not written yet
		}
		_, err = client.RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		return err == nil, nil
	})
	if err != nil {
		return fmt.Errorf("kube-apiserver was not ready in %v; its log is %s: %w", patience, filepath.Join(s.dir, "kube-apiserver.log"), err)
	}
	return nil
}

// KillAPI ends the API server at once, as a crash would. etcd goes on.
func (s *Server) KillAPI() error { return end(s.api) }

// Config returns how to reach the API server as one who may do everything.
func (s *Server) Config() *rest.Config {
	return &rest.Config{
		Host:            loopback("https", s.port),
		BearerToken:     s.token,
		TLSClientConfig: rest.TLSClientConfig{CAFile: filepath.Join(s.dir, "certs", "apiserver.crt")},
	}
}

// Kubectl runs kubectl against the API server and returns what it printed. What is
// left of its cache goes with the directory.
func (s *Server) Kubectl(ctx context.Context, args ...string) (string, error) {
	config := s.Config()
	cmd := exec.CommandContext(ctx, s.program, append([]string{"kubectl", "--kubeconfig=" + os.DevNull, "--cache-dir=" + filepath.Join(s.dir, "kubectl"),
		"--server=" + config.Host, "--token=" + config.BearerToken, "--certificate-authority=" + config.CAFile}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("kubectl %q: %w: %s", args, err, out)
	}
	return string(out), nil
}

// Apply applies the manifests of a directory, and waits until the resources that they
// define can be used.
func (s *Server) Apply(ctx context.Context, dir string) error {
	if _, err := s.Kubectl(ctx, "apply", "--filename="+dir); err != nil {
		return err
	}
	_, err := s.Kubectl(ctx, "wait", "--for=condition=Established", "--timeout=60s", "customresourcedefinitions", "--all")
	return err
}

// Stop ends both.
func (s *Server) Stop() error { return errors.Join(end(s.api), end(s.etcd)) }

// run starts one of the two. It ends with this process.
func (s *Server) run(component string, args ...string) (*exec.Cmd, error) {
	log, err := os.OpenFile(filepath.Join(s.dir, component+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(s.program, append([]string{component}, args...)...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", component, err)
	}
	return cmd, nil
}

// end kills a process, if it was started, and waits for its end.
func end(cmd *exec.Cmd) error {
	if cmd == nil || cmd.ProcessState != nil {
		return nil
	}
	if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		return err
	}
	return nil
}

// writeKeys writes the key of service accounts, and the token of those who test.
func (s *Server) writeKeys() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	encoded := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
	return errors.Join(
		os.WriteFile(filepath.Join(s.dir, "sa.key"), encoded, 0o600),
		os.WriteFile(filepath.Join(s.dir, "tokens.csv"), []byte(s.token+",tester,tester,system:masters\n"), 0o600))
}

// freePorts returns ports of loopback that nobody listened on a moment ago.
func freePorts(n int) (ports []int, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // all are held until all are found, so that they differ
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

func loopback(scheme string, port int) string {
	return scheme + "://127.0.0.1:" + strconv.Itoa(port)
}
