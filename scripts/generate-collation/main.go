// Makes src/keyspace/collation/und.bin: the collation elements that the vindexes unicode_loose_md5 and
// unicode_loose_xxhash hash, taken from the `und` table of golang.org/x/text/collate (CLDR 23, Unicode 6.2.0), with
// the combining classes of golang.org/x/text/unicode/norm (Unicode 15.0.0) and Go's own set of ideographs: the three
// things that Vitess's result depends on. Run once; the table never changes, or rows would stand on wrong shards.
//
//	cd scripts/generate-collation && go run . ../../src/keyspace/collation/und.bin.gz
//
// The file is compressed by gzip. Integers are varints (LEB128):
//
//	elements      count, then per code point: its distance from the one before, kind, payload
//	              kind 0  one element without combining class:  primary
//	              kind 1  several: count, then primary and class of each
//	              kind 2  start of contractions: first state, number of states, offset into the results
//	              kind 3  the elements of its compatibility decomposition: count, code points
//	states        count, then 4 bytes each: low, high, next, index (a trie over the UTF-8 bytes that may follow)
//	results       count, then per contraction result: count, then primary and class of each element
//	marks         count, then per code point: distance, leading class, trailing class, 1 if a segment may begin here
//	ideographs    count of ranges, then per range: distance of its start from the end before, length
package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

var out []byte

func put(values ...int) {
	for _, v := range values {
		out = binary.AppendUvarint(out, uint64(v))
	}
}

var source string

// array reads the numbers of one table of the package's source.
func array(name string) []uint32 {
	start := strings.Index(source, "var "+name+" = [")
	body := source[start:]
	body = body[strings.Index(body, "{\n"):]
	body = body[:strings.Index(body, "\n}")]
	body = regexp.MustCompile(`//.*`).ReplaceAllString(body, "")
	var numbers []uint32
	for _, text := range regexp.MustCompile(`0x[0-9A-Fa-f]+|\d+`).FindAllString(body, -1) {
		number, err := strconv.ParseUint(text, 0, 32)
		check(err)
		numbers = append(numbers, uint32(number))
	}
	return numbers
}

// sparse reads a table whose lines name the index of their values.
func sparse(name string, size int) []uint32 {
	start := strings.Index(source, "var "+name+" = [")
	body := source[start:]
	body = body[strings.Index(body, "{\n"):]
	body = body[:strings.Index(body, "\n}")]
	body = regexp.MustCompile(`//.*`).ReplaceAllString(body, "")
	values := make([]uint32, size)
	for _, pair := range regexp.MustCompile(`(0x[0-9A-Fa-f]+|\d+)\s*:\s*(0x[0-9A-Fa-f]+|\d+)`).FindAllStringSubmatch(body, -1) {
		at, err := strconv.ParseUint(pair[1], 0, 32)
		check(err)
		value, err := strconv.ParseUint(pair[2], 0, 32)
		check(err)
		values[at] = uint32(value)
	}
	return values
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

const blockSize = 64

var values, lookup, expand []uint32
var lookupOffset, valuesOffset int

// element finds the collation element of a code point in the two-stage trie over its UTF-8 bytes.
func element(r rune) uint32 {
	s := []byte(string(r))
	if len(s) == 1 {
		return values[blockSize*valuesOffset+int(s[0])]
	}
	i := lookup[blockSize*lookupOffset+int(s[0])]
	for _, b := range s[1 : len(s)-1] {
		i = lookup[int(i)<<6+int(b)]
	}
	return values[int(i)<<6+int(s[len(s)-1])]
}

func class(e uint32) int {
	if e&0x80000000 == 0 {
		return 0
	}
	if e&0xA0000000 == 0x80000000 {
		return int(uint8(e >> 16))
	}
	return int(uint8(e >> 20))
}

func primary(e uint32) int {
	if e >= 0x80000000 {
		if e > 0xA0000000 {
			return 0
		}
		return int(uint16(e))
	}
	return int(e&0x3FFFFE00) >> 9
}

// elements resolves an element to those it stands for: itself, or its expansion.
func elements(e uint32) []uint32 {
	if e <= 0xAFFFFFFF {
		return []uint32{e}
	}
	if e <= 0xDFFFFFFF || e > 0xEFFFFFFF {
		panic("not an element")
	}
	i := int(uint16(e))
	return expand[i+1 : i+1+int(expand[i])]
}

func putElements(list []uint32) {
	put(len(list))
	for _, e := range list {
		put(primary(e), class(e))
	}
}

func main() {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "golang.org/x/text").Output()
	check(err)
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "collate", "tables.go"))
	check(err)
	source = string(text)
	if norm.Version != "15.0.0" {
		panic("combining classes of Unicode " + norm.Version)
	}
	und := regexp.MustCompile(`(?s)var locales = \[\.\.\.\]tableIndex\{\s*\{\s*// und\s*lookupOffset: (0x[0-9a-f]+),\s*valuesOffset: (0x[0-9a-f]+)`).FindStringSubmatch(source)
	offset := func(text string) int { n, err := strconv.ParseInt(text, 0, 32); check(err); return int(n) }
	lookupOffset, valuesOffset = offset(und[1]), offset(und[2])
	values = sparse("mainValues", 251456)
	lookup = sparse("mainLookup", 16576)
	expand = array("mainExpandElem")
	results := array("mainContractElem")
	states := array("mainCTEntries")

	count, before := 0, 0
	var body []byte
	out = nil
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !utf8.ValidRune(r) {
			continue
		}
		e := element(r)
		if e == 0 {
			continue
		}
		count++
		put(int(r) - before)
		before = int(r)
		switch {
		case e > 0xEFFFFFFF:
			runes := []rune(norm.NFKD.String(string(r)))
			put(3, len(runes))
			for _, part := range runes {
				put(int(part))
			}
		case e > 0xAFFFFFFF && e <= 0xDFFFFFFF:
			put(2, int(e>>4&(1<<12-1)), int(e&(1<<4-1)), int(e>>16&(1<<13-1)))
		case e <= 0xAFFFFFFF && class(e) == 0:
			put(0, primary(e))
		default:
			put(1)
			putElements(elements(e))
		}
	}
	body, out = out, nil
	put(count)
	out = append(out, body...)

	put(len(states) / 4)
	for _, b := range states {
		out = append(out, byte(b))
	}
	put(len(results))
	for _, e := range results {
		putElements(elements(e))
	}

	count, before, body, out = 0, 0, out, nil
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !utf8.ValidRune(r) {
			continue
		}
		p := norm.NFD.PropertiesString(string(r))
		starts := norm.NFD.FirstBoundaryInString(string(r)+"a") == 0
		if p.LeadCCC() == 0 && starts {
			continue
		}
		count++
		flag := 0
		if starts {
			flag = 1
		}
		put(int(r)-before, int(p.LeadCCC()), int(p.TrailCCC()), flag)
		before = int(r)
	}
	marks := out
	out = body
	put(count)
	out = append(out, marks...)

	count, before, body, out = 0, 0, out, nil
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !unicode.Is(unicode.Ideographic, r) {
			continue
		}
		end := r
		for unicode.Is(unicode.Ideographic, end+1) {
			end++
		}
		put(int(r)-before, int(end-r)+1)
		before = int(end) + 1
		r = end
		count++
	}
	ranges := out
	out = body
	put(count)
	out = append(out, ranges...)

	var packed bytes.Buffer
	zip, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	check(err)
	_, err = zip.Write(out)
	check(err)
	check(zip.Close())
	check(os.WriteFile(os.Args[1], packed.Bytes(), 0o644))
	fmt.Println(len(out), "bytes,", packed.Len(), "compressed; ideographs of Unicode", unicode.Version)
}
