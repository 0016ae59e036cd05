/** What a vschema may say, what is refused and by which words, and that nothing of it is lost. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isLookup, requireTable, resolveVschema } from './vschema-resolve.ts'
import { parseVschema, printVschema, readVschema, type Vschema } from './vschema.ts'

const customers: Vschema = {
  sharded: true,
  vindexes: {
    hash: { type: 'hash' },
    region: { type: 'region_experimental', params: { region_bytes: '1' } },
    email: { type: 'consistent_lookup_unique', params: { table: 'lookup.email_idx', from: 'email', to: 'keyspace_id' }, owner: 'customer' },
  },
  tables: {
    customer: {
      column_vindexes: [
        { column: 'customer_id', name: 'hash' },
        { columns: ['email'], name: 'email' },
      ],
      auto_increment: { column: 'customer_id', sequence: 'lookup.customer_seq' },
    },
    corder: { column_vindexes: [{ columns: ['region', 'customer_id'], name: 'region' }] },
    country: { type: 'reference', source: 'lookup.country' },
    config: { pinned: '00' },
    ids: { type: 'sequence', pinned: '80' },
  },
  foreign_key_mode: 'unmanaged',
}

/** The vschema above with values put at dotted paths; `undefined` takes what is there away. */
const change = (edits: Readonly<Record<string, unknown>>): Vschema => {
  const copy: unknown = structuredClone(customers)
  for (const [path, value] of Object.entries(edits)) {
    const steps = path.split('.')
    const last = steps.pop() as string
    let node = copy as Record<string, unknown>
    for (const step of steps) node = node[step] as Record<string, unknown>
    if (value === undefined) delete node[last]
    else node[last] = value
  }
  return readVschema(copy)
}

test('a vschema resolves to what routes each table', () => {
  const { tables, vindexes, sharded } = resolveVschema(readVschema(customers))
  assert.equal(sharded, true)
  const customer = tables.get('customer')!
  assert.equal(customer.kind, 'sharded')
  assert.ok(customer.kind === 'sharded')
  assert.equal(customer.primaryVindex.vindex, vindexes.get('hash'))
  assert.deepEqual(customer.primaryVindex.columns, ['customer_id'])
  assert.deepEqual(customer.autoIncrement, { column: 'customer_id', sequence: { keyspace: 'lookup', table: 'customer_seq' } })
  const [email] = customer.otherVindexes
  assert.ok(email !== undefined && isLookup(email.vindex))
  assert.deepEqual([email.owned, email.vindex.unique, email.vindex.cost, email.vindex.from], [true, true, 10, ['email']])
  const corder = tables.get('corder')!
  assert.ok(corder.kind === 'sharded')
  assert.deepEqual(corder.primaryVindex.columns, ['region', 'customer_id'])
  assert.deepEqual(
    [...tables.values()].map(({ kind }) => kind),
    ['sharded', 'sharded', 'reference', 'pinned', 'sequence'],
  )
  assert.throws(() => requireTable({ tables, vindexes, sharded }, 'custmer'), {
    code: 'SW-KEYSPACE-024',
    message: /did you mean "customer"/,
  })
})

test('in an unsharded keyspace every table has one place', () => {
  const { tables, sharded } = resolveVschema(parseVschema('{"tables": {"t": {}, "s": {"type": "sequence"}, "r": {"type": "reference"}}}'))
  assert.equal(sharded, false)
  assert.deepEqual(
    [...tables.values()].map(({ kind }) => kind),
    ['unsharded', 'sequence', 'reference'],
  )
})

const refusals: [string, string, Readonly<Record<string, unknown>>, RegExp][] = [
  [
    'an unknown key',
    'SW-KEYSPACE-018',
    { 'tables.customer.column_vindex': [] },
    /unknown key tables\.customer\.column_vindex: did you mean "column_vindexes"\?/,
  ],
  ['an unknown key at the top', 'SW-KEYSPACE-018', { vindex: {} }, /unknown key vindex: did you mean "vindexes"\?/],
  [
    'an unknown key in a list',
    'SW-KEYSPACE-018',
    { 'tables.customer.column_vindexes.0.colunm': 'x' },
    /column_vindexes\[0\]\.colunm: did you mean "column"\?/,
  ],
  ['a wrong type', 'SW-KEYSPACE-019', { sharded: 'true' }, /at sharded: it must be true or false, not "true"/],
  ['an unknown table type', 'SW-KEYSPACE-019', { 'tables.customer.type': 'sequense' }, /did you mean "sequence"\?/],
  [
    'a number as a parameter',
    'SW-KEYSPACE-019',
    { 'vindexes.region.params.region_bytes': 1 },
    /vindexes\.region\.params\.region_bytes: it must be a string, not 1/,
  ],
  ['a vindex without a type', 'SW-KEYSPACE-019', { 'vindexes.hash.type': undefined }, /vindexes\.hash: type is missing/],
  ['an unknown vindex type', 'SW-KEYSPACE-010', { 'vindexes.hash.type': 'xxhsah' }, /did you mean "xxhash"\?/],
  ['an unknown vindex parameter', 'SW-KEYSPACE-011', { 'vindexes.hash.params': { seed: '1' } }, /parameter seed is unknown/],
  ['a missing vindex parameter', 'SW-KEYSPACE-011', { 'vindexes.region.params': undefined }, /region_bytes must be 1 or 2/],
  [
    'a vindex that is not defined',
    'SW-KEYSPACE-020',
    { 'tables.customer.column_vindexes.0.name': 'hush' },
    /does not define: did you mean "hash"\?/,
  ],
  [
    'a lookup as the primary vindex',
    'SW-KEYSPACE-021',
    { 'tables.customer.column_vindexes': [{ column: 'email', name: 'email' }] },
    /it is a lookup/,
  ],
  ['a sharded table without a vindex', 'SW-KEYSPACE-022', { 'tables.bare': {} }, /table bare/],
  ['a sequence in a sharded keyspace', 'SW-KEYSPACE-023', { 'tables.ids.pinned': undefined }, /ids/],
  ['too few columns', 'SW-KEYSPACE-015', { 'tables.corder.column_vindexes.0.columns': ['region'] }, /takes 2 column\(s\) and was given 1/],
  ['column and columns', 'SW-KEYSPACE-019', { 'tables.corder.column_vindexes.0.column': 'a' }, /column and columns/],
  ['no column', 'SW-KEYSPACE-019', { 'tables.customer.column_vindexes.0.column': undefined }, /names no column/],
  ['one column twice', 'SW-KEYSPACE-019', { 'tables.corder.column_vindexes.0.columns': ['a', 'A'] }, /column A twice|column a twice/],
  ['an owner that does not exist', 'SW-KEYSPACE-019', { 'vindexes.email.owner': 'custumer' }, /did you mean "customer"\?/],
  ['an owner that does not use its lookup', 'SW-KEYSPACE-019', { 'vindexes.email.owner': 'corder' }, /does not use/],
  ['an owned function', 'SW-KEYSPACE-019', { 'vindexes.hash.owner': 'customer' }, /has no owner/],
  ['a pin that is no keyspace id', 'SW-KEYSPACE-019', { 'tables.config.pinned': '0' }, /no keyspace id/],
  ['a sequence that is none', 'SW-KEYSPACE-019', { 'tables.customer.auto_increment.sequence': 'corder' }, /corder is no sequence/],
  [
    'a column outside a complete list',
    'SW-KEYSPACE-019',
    { 'tables.corder.column_list_authoritative': true, 'tables.corder.columns': [{ name: 'region' }, { name: 'customer' }] },
    /no column customer_id: did you mean "customer"\?/,
  ],
  [
    'a reference table with a vindex',
    'SW-KEYSPACE-019',
    { 'tables.country.column_vindexes': [{ column: 'a', name: 'hash' }] },
    /reference/,
  ],
]
for (const [name, code, edit, message] of refusals) {
  test(`refused: ${name}`, () => {
    assert.throws(
      () => resolveVschema(change(edit)),
      (error: Error & { code: string }) => {
        assert.equal(error.code, code)
        assert.match(error.message, message)
        return true
      },
    )
  })
}

test('text that is not JSON is refused', () => {
  assert.throws(() => parseVschema('{"sharded": tru'), { code: 'SW-KEYSPACE-017' })
  assert.throws(() => parseVschema('[]'), { code: 'SW-KEYSPACE-019', message: /at the top: it must be an object/ })
})

test("protobuf's spelling of keys is read, and printed as Vitess prints it", () => {
  const read = parseVschema(
    '{"requireExplicitRouting": true, "tables": {"t": {"columnVindexes": [{"column": "id", "name": "h"}], "pinned": null}}}',
  )
  assert.deepEqual(read, { tables: { t: { column_vindexes: [{ column: 'id', name: 'h' }] } }, require_explicit_routing: true })
})

test('property: reading what is printed gives the same vschema, whatever names it holds', () => {
  const name = fc.oneof(fc.string({ minLength: 1, maxLength: 12 }), fc.constantFrom('__proto__', 'constructor', 'type', 'tables'))
  const vschema = fc.record(
    {
      sharded: fc.boolean(),
      vindexes: fc.dictionary(name, fc.record({ type: fc.constantFrom('hash', 'xxhash') })),
      tables: fc.dictionary(name, fc.record({ column_vindexes: fc.array(fc.record({ column: name, name })) }, { requiredKeys: [] })),
    },
    { requiredKeys: [] },
  )
  fc.assert(
    fc.property(vschema, (one) => {
      const read = readVschema(JSON.parse(JSON.stringify(one)))
      assert.deepEqual(parseVschema(printVschema(read)), read)
      assert.equal(printVschema(parseVschema(printVschema(read))), printVschema(read))
      assert.deepEqual(JSON.parse(printVschema(read)), JSON.parse(JSON.stringify(one)))
    }),
  )
})
