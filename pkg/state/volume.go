package state

import "time"

// AccessType is how a volume is given to a pod: as a directory or as a block device.
type AccessType string

// The access types of the CSI spec (VolumeCapability.access_type).
const (
	MountAccess AccessType = "Mount"
	BlockAccess AccessType = "Block"
)

// Provisioning says when a block volume takes the room that it was promised.
type Provisioning string

// A thick volume has its room from its creation on; a thin one takes it as it is written.
const (
	Thick Provisioning = "thick"
	Thin  Provisioning = "thin"
)

// Enforcement says what a pool does about volumes that nothing holds to their size.
type Enforcement string

// A pool takes no volumes that could grow beyond their size, or takes them and tells of
// it, or does not limit any.
const (
	EnforcementRequired  Enforcement = "required"
	EnforcementPreferred Enforcement = "preferred"
	EnforcementNone      Enforcement = "none"
)

// OnDelete says what becomes of a volume's contents when it is deleted.
type OnDelete string

// OnDeleteRemove removes the contents; it is the default. OnDeleteArchive keeps them in
// the pool's archive; OnDeleteScrub overwrites them before they are removed.
const (
	OnDeleteRemove  OnDelete = "delete"
	OnDeleteArchive OnDelete = "archive"
	OnDeleteScrub   OnDelete = "scrub"
)

// SourceKind names what a volume's first contents come from.
type SourceKind string

// The content sources of the CSI spec (VolumeContentSource), and one that no call of CSI has:
// a deleted volume that is kept, by its name in the archive, which goes on keeping it.
const (
	FromSnapshot SourceKind = "Snapshot"
	FromVolume   SourceKind = "Volume"
	FromArchive  SourceKind = "Archive"
)

// Source is where a volume's first contents come from.
//
// +kubebuilder:object:generate=true
type Source struct {
	Kind SourceKind `json:"kind"`
	ID   string     `json:"id"`
	// SetMode and SetOwner give the copy's root directory the Mode, and the UserID and
	// GroupID, of the VolumeSpec; otherwise it keeps those of the source.
	SetMode  bool `json:"setMode,omitempty"`
	SetOwner bool `json:"setOwner,omitempty"`
}

// Claim names the Kubernetes objects a volume was made for, when the provisioner
// tells (external-provisioner's --extra-create-metadata).
//
// +kubebuilder:object:generate=true
type Claim struct {
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
	PV        string `json:"pv,omitempty"`
}

// Ephemeral is what a volume has to do with the pod that it was made for, and that it
// ends with.
//
// +kubebuilder:object:generate=true
type Ephemeral struct {
	Pod `json:",inline"`
	// Target is where the kubelet has it published, beneath the pod's directory.
	Target string `json:"target"`
}

// Pod names a pod.
//
// +kubebuilder:object:generate=true
type Pod struct {
	Namespace string `json:"podNamespace,omitempty"`
	Name      string `json:"podName,omitempty"`
	UID       string `json:"podUID,omitempty"`
}

// VolumeSpec is what the controller wants of a volume. An ephemeral volume has the node
// plugin of its node in the controller's place.
//
// +kubebuilder:object:generate=true
type VolumeSpec struct {
	// Name is the whole CSI name; the record's ID may be a hash of it.
	Name string `json:"name"`
	// Node and Pool say where the volume lives.
	Node string `json:"node"`
	Pool string `json:"pool"`
	// CapacityBytes is the size that was promised, in bytes.
	CapacityBytes int64 `json:"capacityBytes"`
	// AccessType is fixed for the volume's life.
	AccessType AccessType `json:"accessType"`
	// Source is nil for a volume that starts empty.
	Source *Source `json:"source,omitempty"`
	// Mode is the permission bits of the volume's root directory (0 to 07777).
	// +kubebuilder:validation:Format=int64
	Mode uint32 `json:"mode"`
	// UserID and GroupID own the volume's root directory.
	UserID  int `json:"userID,omitempty"`
	GroupID int `json:"groupID,omitempty"`
	// Provisioning is of block volumes only.
	Provisioning Provisioning `json:"provisioning,omitempty"`
	// OnDelete says what becomes of the contents on deletion.
	OnDelete OnDelete `json:"onDelete,omitempty"`
	// Path is where a mount volume lies beneath claims/ of its pool, if it is named after
	// its claim: see PathID. "": its ID names it. It is fixed for the volume's life.
	Path string `json:"path,omitempty"`
	// Adopt is the path, relative to the pool, of what becomes the volume with all that is in
	// it, instead of a new one: a directory, or archive/NAME, a deleted volume that is kept;
	// "": nothing.
	Adopt string `json:"adopt,omitempty"`
	// Claim is whom the volume was made for, where known.
	Claim *Claim `json:"claim,omitempty"`
	// Ephemeral is nil for a volume that has a life of its own.
	Ephemeral *Ephemeral `json:"ephemeral,omitempty"`
	// EmptyFor is the UID of the claim whose leavings are to be removed; see Emptying.
	EmptyFor string `json:"emptyFor,omitempty"`
}

// VolumeStatus is what the agent saw.
//
// +kubebuilder:object:generate=true
type VolumeStatus struct {
	Phase Phase `json:"phase,omitempty"`
	// Reason and Message tell why a volume failed, or why its deletion waits.
	Reason  Reason `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	// Path is the volume's place, relative to its pool.
	Path string `json:"path,omitempty"`
	// CapacityBytes is the size in force.
	CapacityBytes int64 `json:"capacityBytes,omitempty"`
	// Enforced tells whether the filesystem holds the volume to its size.
	Enforced bool `json:"enforced,omitempty"`
	// QuotaID is the project or qgroup that limits the volume; 0: none.
	// +kubebuilder:validation:Format=int64
	QuotaID uint32 `json:"quotaID,omitempty"`
	// EmptiedFor is the last EmptyFor that was done.
	EmptiedFor string `json:"emptiedFor,omitempty"`
	// Health lists what is wrong with the volume.
	Health []Health `json:"health,omitempty"`
	// ObservedGeneration is the Spec that this status is about.
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
}

// Emptying tells whether the volume's contents are still to be removed, so that it can
// be given to another claim. Until they are, or are to stay after all, it is not published.
func Emptying(v Volume) bool {
	return v.Spec.EmptyFor != "" && v.Spec.EmptyFor != v.Status.EmptiedFor
}

// SnapshotSpec is what the controller wants of a snapshot.
//
// +kubebuilder:object:generate=true
type SnapshotSpec struct {
	// Name is the whole CSI name; the record's ID may be a hash of it.
	Name string `json:"name"`
	// Volume is the ID of the volume that is copied, VolumeUID which life of it.
	Volume    string `json:"volume"`
	VolumeUID string `json:"volumeUID"`
	// Node and Pool are those of the volume.
	Node string `json:"node"`
	Pool string `json:"pool"`
	// AccessType is the volume's: a restore has the same.
	AccessType AccessType `json:"accessType"`
}

// Progress counts what was copied so far.
//
// +kubebuilder:object:generate=true
type Progress struct {
	Bytes  int64 `json:"bytes"`
	Inodes int64 `json:"inodes"`
}

// SnapshotStatus is what the agent saw.
//
// +kubebuilder:object:generate=false
type SnapshotStatus struct {
	Phase Phase `json:"phase,omitempty"`
	// Reason and Message tell why a snapshot failed, or why its deletion waits.
	Reason  Reason `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	// Path is the snapshot's place, relative to its pool.
	Path string `json:"path,omitempty"`
	// SizeBytes is the volume's capacity when it was taken, and the least size of a restore.
	SizeBytes int64 `json:"sizeBytes,omitempty"`
	// UsedBytes is what the snapshot takes from the pool's account.
	UsedBytes int64 `json:"usedBytes,omitempty"`
	// CreationTime is when the copy began.
	//
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +optional
	CreationTime *time.Time `json:"creationTime,omitempty"`
	// ReadyToUse tells that the copy is whole.
	ReadyToUse bool `json:"readyToUse,omitempty"`
	// Progress tells how far a copy is that is being made.
	Progress *Progress `json:"progress,omitempty"`
	// Atomic tells that all of the snapshot is of one instant; otherwise each file is
	// of one, or, where blocks are not shared, each part of a file.
	Atomic bool `json:"atomic,omitempty"`
	// ObservedGeneration is the Spec that this status is about.
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
}

// NodeSpec is what a node's agent has committed itself to. A node's agent writes
// both halves of its record.
//
// +kubebuilder:object:generate=true
type NodeSpec struct {
	// Pools maps the name of every pool that was ever taken into use here to its
	// UUID, so that a pool whose disk is not mounted is not mistaken for a new one.
	Pools map[string]string `json:"pools,omitempty"`
}

// NodeStatus is what a node's agent tells about its pools.
//
// +kubebuilder:object:generate=true
type NodeStatus struct {
	Pools []PoolStatus `json:"pools,omitempty"`
	// ConfigError is what is wrong with the configuration as it is now, while the last good
	// one stays in force; "": it is in force.
	ConfigError string `json:"configError,omitempty"`
}

// PoolStatus is one pool of a node.
//
// +kubebuilder:object:generate=true
type PoolStatus struct {
	Name       string `json:"name"`
	Path       string `json:"path"`
	UUID       string `json:"uuid,omitempty"`
	Filesystem string `json:"filesystem,omitempty"`
	// EnforcesLimits tells whether a volume is held to its size here.
	EnforcesLimits bool `json:"enforcesLimits"`
	// Enforcement is what the pool does where it is not.
	Enforcement Enforcement `json:"enforcement,omitempty"`
	// Unenforced is why volumes are not held to their size, and what mends it; "": they
	// are, or are not to be.
	Unenforced string `json:"unenforced,omitempty"`
	// Usage is the filesystem's own count.
	Usage Usage `json:"usage"`
	// Labels are the pool's own, by which the parameter poolSelector chooses.
	Labels map[string]string `json:"labels,omitempty"`
	// ReservedBytes are never handed out.
	ReservedBytes int64 `json:"reservedBytes,omitempty"`
	// AllocatedBytes is the sum of the capacities of the pool's volumes, and of what its
	// snapshots may take.
	AllocatedBytes int64 `json:"allocatedBytes"`
	// AvailableBytes is what new volumes may be given.
	AvailableBytes int64 `json:"availableBytes"`
	// ReadyVolumes and ReadySnapshots count what is in use or can be.
	ReadyVolumes   int `json:"readyVolumes,omitempty"`
	ReadySnapshots int `json:"readySnapshots,omitempty"`
	// Cordoned is why the pool takes no new volumes though it serves those it has;
	// "": it does.
	Cordoned string `json:"cordoned,omitempty"`
	// Orphans counts directories that no record speaks of.
	Orphans int `json:"orphans,omitempty"`
	// Health is why the pool cannot be used; none: it can.
	Health []Health `json:"health,omitempty"`
}

// Usable tells whether the pool takes new volumes and serves those it has.
func (p PoolStatus) Usable() bool { return len(p.Health) == 0 }

// Pool returns the named pool's status.
func (n NodeStatus) Pool(name string) (PoolStatus, bool) {
	for _, p := range n.Pools {
		if p.Name == name {
			return p, true
		}
	}
	return PoolStatus{}, false
}
