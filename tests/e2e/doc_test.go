// Package e2e tests the driver where its users run it: in a Kubernetes of three nodes,
// installed from the manifests of deploy/. See README.md; run.sh brings the cluster up,
// runs this and takes the cluster down.
//
//	main_test.go          the cluster, and that nothing is left at the end
//	world_test.go         a test's namespace, kubectl, waiting
//	statefulset_test.go   volumeClaimTemplates
//	reclaim_test.go       Delete, scrub, Retain, Recycle, binding again, static volumes
//	archive_test.go       volumes that are kept when they are deleted, and brought back
//	adopt_test.go         directories that become volumes
//	orphans_test.go       what no record speaks of
//	claims_test.go        volumes that are named after their claims
//	size_test.go          limits, expansion, capacity
//	copies_test.go        snapshots, restores, clones
//	access_test.go        block, read-only, one pod only, generic ephemeral
//	ephemeral_test.go     volumes that pods ask for by themselves
//	examples_test.go      each file of deploy/examples
//	disruption_test.go    whoever is killed, and nodes that come and go
//	version_test.go       another version of the driver, and back
//	pool_test.go          a disk that is away for a while
//	image_test.go         a pool in an image file
//	events_test.go        what claims are told
//	metrics_test.go       what Prometheus is told
//	looking_test.go       doctor and du, on each node
//	config_test.go        the ConfigMap, changed while all runs
//	install_test.go       installed as README.md says, taken out as docs/install.md says
//	ways_test.go          two controllers, Helm, a single node
package e2e
