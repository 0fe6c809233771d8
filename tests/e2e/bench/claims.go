package main

import (
	"context"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// inFlight is how many requests are under way at a time: "at once" is what one client can do.
	inFlight = 50
	// consumers is how many pods use all claims. A claim for each would measure kubelets, which
	// take a second for a pod and 110 pods at most.
	consumers = 10
	image     = "docker.io/library/busybox:1.37.0"
)

func claimName(i int) string { return fmt.Sprintf("c%d", i) }
func podName(i int) string   { return fmt.Sprintf("p%d", i) }

func newClaim(i int, class string) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: claimName(i)},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			StorageClassName: &class,
			Resources:        corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Mi")}},
		},
	}
}

// newPod is a pod that uses claims and does nothing.
func newPod(i int, claims []string) *corev1.Pod {
	grace, token := int64(1), false
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: podName(i)},
		Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: &grace,
			AutomountServiceAccountToken:  &token,
			Containers: []corev1.Container{{
				Name: "idle", Image: image,
				Command: []string{"sh", "-c", `trap "exit 0" TERM; while :; do sleep 1; done`},
			}},
		},
	}
	for _, claim := range claims {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: claim, VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim},
		}})
		main := &pod.Spec.Containers[0]
		main.VolumeMounts = append(main.VolumeMounts, corev1.VolumeMount{Name: claim, MountPath: "/data/" + claim})
	}
	return pod
}

// shares deals n claims to the pods, as evenly as can be; fewer claims have fewer pods.
func shares(n int) [][]string {
	pods := make([][]string, min(n, consumers))
	for i := range n {
		pods[i%len(pods)] = append(pods[i%len(pods)], claimName(i))
	}
	return pods
}

// atOnce does something n times, with some under way at a time, until one fails.
func atOnce(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(n, inFlight) {
		workers.Go(func() {
			for i := range next {
				if err := do(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	for i := range n {
		select {
		case next <- i:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(next)
	workers.Wait()
	return context.Cause(ctx)
}
