package mount

// List returns the publishes that the volumes of pools have now, from one reading of
// the kernel's list of mounts. It takes what Load takes, and changes nothing: it is for
// those who look at a machine while the driver serves it. Pools that cannot be found
// are left out.
func List(pools map[string]string) ([]Published, error) {
	t := &Table{kernel: linux{}, pools: map[string]pool{}}
	mounts, err := t.mounts()
	if err != nil {
		return nil, err
	}
	for name, dir := range pools {
		if p, err := t.findPool(dir, mounts); err == nil {
			t.pools[name] = p
		}
	}
	var all []Published
	for _, m := range t.find(mounts) {
		all = append(all, m.Published)
	}
	return all, nil
}
