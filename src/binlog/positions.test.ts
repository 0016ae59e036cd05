/** Proves the text and the algebra of positions and XA ids. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isSwError } from '../base/errors.ts'
import { GtidSet } from './gtid-set.ts'
import { parsePosition, positionText } from './position-text.ts'
import { xaStatement } from './xid.ts'

const a = '70c1a7a3-e6bf-11f1-b694-02fc00000001'
const b = '9ce73a43-e6c3-11f1-a265-02fc00000001'

test('a GTID set holds exactly what was added, in any order', () => {
  const item = fc.tuple(fc.constantFrom(a, b, `${a}:tag`), fc.integer({ min: 1, max: 40 }))
  fc.assert(
    fc.property(fc.array(item, { maxLength: 60 }), fc.array(item, { maxLength: 10 }), (items, others) => {
      const set = new GtidSet()
      for (const [sid, n] of items) set.add(sid, n)
      const other = new GtidSet()
      for (const [sid, n] of others) other.add(sid, n)
      const model = new Set(items.map(([sid, n]) => `${sid}:${n}`))
      for (const sid of [a, b, `${a}:tag`]) for (let n = 0; n <= 41; n++) assert.equal(set.has(sid, n), model.has(`${sid}:${n}`))
      assert.equal(
        set.contains(other),
        others.every(([sid, n]) => model.has(`${sid}:${n}`)),
      )
      assert.equal(GtidSet.parse(set.toString()).toString(), set.toString())
      assert.ok(GtidSet.parse(set.toString()).contains(set))
    }),
  )
})

test('the forms that MySQL prints are read', () => {
  assert.equal(GtidSet.parse(`${a}:1-3:7,\n${b}:5`).toString(), `${a}:1-3:7,${b}:5`)
  assert.equal(GtidSet.parse(`${a.toUpperCase()}:1:2:3`).toString(), `${a}:1-3`)
  assert.equal(GtidSet.parse(`${a}:1-3:blue:4-5`).toString(), `${a}:1-3,${a}:blue:4-5`)
  assert.equal(GtidSet.parse('').toString(), '')
  for (const bad of ['x', `${a}`, `${a}:0`, `${a}:5-4`, `${a}:1-`, `${a}:-1`]) assert.throws(() => GtidSet.parse(bad), RangeError)
  assert.equal(
    GtidSet.parse(`${a}:1-3`).encode().toString('hex'),
    `0100000000000000${a.replaceAll('-', '')}010000000000000001000000000000000400000000000000`,
  )
})

test('positions are read back, others refused', () => {
  const at = { file: 'binlog.000007', offset: 5_000_000_000 }
  for (const [kind, value] of [
    ['mysql', `${a}:1-9`],
    ['mysql', ''],
    ['mariadb', '0-1-5,7-2-18446744073709551615'],
    ['mariadb', ''],
    ['file', a],
  ] as const) {
    const text = positionText(kind, at, value)
    const parts = parsePosition(text)
    assert.deepEqual(parts.at, at)
    const again = parts.kind === 'mysql' ? parts.executed.toString() : parts.kind === 'mariadb' ? parts.state.toString() : parts.serverUuid
    assert.equal(positionText(parts.kind, parts.at, again), text)
  }
  for (const bad of ['', 'x', 'mysql;f:4;zzz', 'mariadb;f:4;0-1', 'mysql;f:x;', 'oracle;f:4;']) {
    assert.throws(
      () => parsePosition(bad),
      (error) => isSwError(error, 'SW-BINLOG-021'),
    )
  }
})

test('XA ids are equal when they are the same', () => {
  const forms = [
    "XA COMMIT X'6162',X'',1",
    "xa commit 'ab','',1",
    "XA COMMIT 'ab'",
    "XA COMMIT X'6162'",
    'XA COMMIT 0x6162,0x,1'.replace(',0x,', ",X'',"),
  ]
  for (const form of forms) assert.deepEqual(xaStatement(form), { verb: 'commit', xid: "X'6162',X'',1" })
  assert.deepEqual(xaStatement("XA COMMIT X'61',X'62',7 ONE PHASE"), { verb: 'commit', xid: "X'61',X'62',7" })
  assert.equal(xaStatement('XANADU'), null)
})
