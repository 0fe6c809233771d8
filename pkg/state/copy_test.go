package state

import (
	"reflect"
	"testing"
	"time"
)

// A field that is added and refers to something, and is not copied, fails here.
func TestACopySharesNothing(t *testing.T) {
	var s SnapshotStatus
	v := reflect.ValueOf(&s).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.Pointer:
			f.Set(reflect.New(f.Type().Elem()))
		case reflect.Slice, reflect.Map, reflect.Interface:
			t.Fatalf("%s: extend this test", v.Type().Field(i).Name)
		}
	}
	*s.CreationTime = time.Unix(1, 2)
	to := s.DeepCopy()
	if !reflect.DeepEqual(*to, s) {
		t.Errorf("got %+v, want %+v", *to, s)
	}
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Pointer && f.Pointer() == reflect.ValueOf(to).Elem().Field(i).Pointer() {
			t.Errorf("%s is shared", v.Type().Field(i).Name)
		}
	}
	if (*SnapshotStatus)(nil).DeepCopy() != nil {
		t.Error("a copy of nothing is something")
	}
}
