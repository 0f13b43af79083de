package main

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"log"
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/dump"
	"k8s.io/apimachinery/pkg/util/rand"
)

// types says how Go prints a value with its types: the fields of each struct by
// their Go name, JSON name (empty for an embedded struct whose members stand
// beside the others) and type, and what the other named types are.
type types struct {
	Structs map[string][]field `json:"structs"`
	Named   map[string]string  `json:"named"`
	seen    map[string]reflect.Type
}

func newTypes() types {
	return types{map[string][]field{}, map[string]string{}, map[string]reflect.Type{}}
}

// add describes a type and all that it is made of, once.
func (t types) add(typ reflect.Type) {
	name := typ.String()
	if known, ok := t.seen[name]; ok {
		if known != typ {
			log.Fatalf("two types are called %s", name)
		}
		return
	}
	t.seen[name] = typ
	if _, ok := special[typ]; ok {
		return
	}
	switch typ.Kind() {
	case reflect.Struct:
		t.Structs[name] = t.members(typ)
		return
	case reflect.Pointer, reflect.Slice:
		t.add(typ.Elem())
	case reflect.Map:
		t.add(typ.Key())
		t.add(typ.Elem())
	}
	if typ.PkgPath() != "" {
		t.Named[name] = underlying(typ)
	}
}

func (t types) members(typ reflect.Type) []field {
	members := []field{}
	for i := range typ.NumField() {
		member := typ.Field(i)
		name, _, _ := strings.Cut(member.Tag.Get("json"), ",")
		t.add(member.Type)
		members = append(members, field{member.Name, name, member.Type.String()})
	}
	return members
}

func underlying(typ reflect.Type) string {
	switch typ.Kind() {
	case reflect.Map:
		return "map[" + typ.Key().String() + "]" + typ.Elem().String()
	case reflect.Slice:
		return "[]" + typ.Elem().String()
	}
	return typ.Kind().String()
}

// hashes computes what the controllers of Kubernetes do, without a collision count.
func hashes(templates *json.Decoder) []string {
	found := []string{}
	for {
		var template corev1.PodTemplateSpec
		if err := templates.Decode(&template); err == io.EOF {
			return found
		} else if err != nil {
			log.Fatal(err)
		}
		hasher := fnv.New32a()
		fmt.Fprint(hasher, dump.ForHash(template))
		found = append(found, rand.SafeEncodeString(fmt.Sprint(hasher.Sum32())))
	}
}
