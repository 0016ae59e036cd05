/** The pure rules of rounds: coalescing, a round put back, keys touched, statements of both modes. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { Pending, type Change } from './pending.ts'
import { orderBy, rangeCondition, roundStatements, statementBytesMax, splitLiterals } from './statements.ts'
import { intColumn, planOf, stampOf } from './testkit/samples.ts'
import { TouchedKeys } from './touched.ts'

const plan = (key: string[]) => planOf(['a', 'b', 'o'].map(intColumn), key, { vindexColumns: ['o'] })
const stamp = stampOf({ position: 'p' })
const one = plan(['a'])
const change = (key: string, row: string | null, images: string[] | null = null): Change => ({ table: one, key, row, images })

test('1.5: a round has the last image of each key', () => {
  const pending = new Pending()
  for (const row of ['(1,1)', null, '(1,3)']) pending.add(change('1', row))
  pending.add(change('2', null))
  const round = pending.take(stamp)
  assert.equal(round.count, 2)
  assert.equal(round.changes.get(one)?.get('1')?.row, '(1,3)')
  assert.equal(pending.count, 0)
  assert.equal(pending.bytes, 0)
})

test('1.6: a round that was not kept goes under what came since, and remembers every image of its keys', () => {
  const pending = new Pending()
  pending.add(change('1', '(1,old)', ['5']))
  pending.add(change('2', '(2,old)', ['6']))
  const round = pending.take(stamp)
  pending.add(change('1', null, ['7']))
  pending.putBack(round)
  const both = pending.take(stamp).changes.get(one)
  assert.deepEqual(both?.get('1'), change('1', null, ['5', '7']))
  assert.deepEqual(both?.get('2'), change('2', '(2,old)', ['6']))
})

test('1.6, promise 8: images of a key count as memory, also in a round that is put back, and add up in no more time than there are', () => {
  const pending = new Pending()
  const before = performance.now()
  for (let n = 0; n < 60_000; n++) pending.add(change('1', null, n % 2 === 0 ? [`'owner ${n}'`, `'owner ${n + 1}'`] : [`'owner ${n}'`]))
  const tookMs = performance.now() - before
  assert.ok(tookMs < 2_000, `${Math.round(tookMs)} ms`)
  assert.ok(pending.bytes > 60_000 * 60, `${pending.bytes} bytes`)
  const round = pending.take(stamp)
  assert.equal(round.changes.get(one)?.get('1')?.images?.length, 60_000)
  assert.equal(pending.bytes, 0)
  pending.add(change('1', null, ["'last'"]))
  const alone = pending.bytes
  pending.putBack(round)
  assert.ok(pending.bytes >= round.bytes && pending.bytes < round.bytes + alone, `${pending.bytes} of ${round.bytes} and ${alone}`)
  const again = pending.take(stamp)
  assert.equal(again.changes.get(one)?.get('1')?.images?.length, 60_001)
  assert.equal(again.bytes > 0 && pending.bytes, 0)
  const deletes = roundStatements(again, 'several-sources', 'x', 1)[0]?.deletes ?? []
  assert.ok(
    deletes.length > 1 && deletes.every(({ length }) => length < 2 * statementBytesMax),
    'images of one key go in several statements',
  )
})

test('1.5, 1.6: statements of one source and of several', () => {
  const pending = new Pending()
  pending.add(change('1', '(1,2,3)', ['3', '4']))
  pending.add(change('9', null, ['8']))
  const round = pending.take(stamp)
  const text = (mode: 'one-source' | 'several-sources') =>
    roundStatements(round, mode, 'x', 1).map(({ deletes, upserts }) => [...deletes, ...upserts].map(String))[0]
  assert.deepEqual(text('one-source'), ['DELETE FROM `x`.`t` WHERE `a` IN (9)', 'REPLACE INTO `x`.`t` (`a`,`b`,`o`) VALUES (1,2,3)'])
  assert.deepEqual(text('several-sources'), [
    'DELETE FROM `x`.`t` WHERE `a` IN (1,9) AND (`a`,`o`) IN ((1,3),(1,4),(9,8))',
    'INSERT INTO `x`.`t` (`a`,`b`,`o`) VALUES (1,2,3)',
  ])
})

test('1.5: every change of a round is in exactly one lane', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.integer({ min: 0, max: 10_000 }), { maxLength: 300 }), fc.integer({ min: 1, max: 8 }), (keys, lanes) => {
      const pending = new Pending()
      for (const key of keys) pending.add(change(String(key), `(${key},0,0)`))
      const statements = roundStatements(pending.take(stamp), 'one-source', 'x', lanes).flatMap(({ upserts }) => upserts.map(String))
      const found = statements.flatMap((statement) => [...statement.matchAll(/\((\d+),0,0\)/g)].map((match) => Number(match[1])))
      assert.deepEqual(
        found.sort((a, b) => a - b),
        [...keys].sort((a, b) => a - b),
      )
    }),
  )
})

test('1.3: range conditions of one and of several columns', () => {
  const key = (keyColumns: string[], keyDescending: boolean[] = []) => ({ keyColumns, keyCompared: keyColumns, keyDescending })
  assert.equal(rangeCondition(key(['`a`']), ['5'], ['9']), '`a` > 5 AND `a` <= 9')
  assert.equal(rangeCondition(key(['`a`', '`b`']), ['5', "'x'"], null), "`a` >= 5 AND ((`a` > 5) OR (`a` = 5 AND `b` > 'x'))")
  const mixed = key(['`a`', '`b`', '`c`'], [true, false, true])
  assert.equal(orderBy(mixed), '`a` DESC,`b`,`c` DESC')
  assert.equal(
    rangeCondition(mixed, ['1', '2', '3'], ['4', '5', '6']),
    '`a` <= 1 AND ((`a` < 1) OR (`a` = 1 AND `b` > 2) OR (`a` = 1 AND `b` = 2 AND `c` < 3)) AND ' +
      '`a` >= 4 AND ((`a` > 4) OR (`a` = 4 AND `b` < 5) OR (`a` = 4 AND `b` = 5 AND `c` >= 6))',
  )
  assert.deepEqual(splitLiterals("1,'a,\\'b\\\\',x'00',NULL"), ['1', "'a,\\'b\\\\'", "x'00'", 'NULL'])
})

test('1.4: a chunk drops every key that the tail brought behind its low marker, however generations come and go', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.constant('begin'), fc.constant('meet'), fc.constant('release'), fc.integer({ min: 0, max: 20 })), {
        maxLength: 200,
        size: 'max',
      }),
      (events) => {
        const touched = new TouchedKeys<object>()
        const chunks: { generation: number; marker: number; since: Set<string> }[] = []
        let [sent, met] = [0, 0]
        for (const event of events) {
          if (event === 'begin') chunks.push({ generation: touched.begin(++sent), marker: sent, since: new Set() })
          else if (event === 'meet') touched.met((met = Math.min(sent, met + 1)))
          else if (event === 'release') {
            const chunk = chunks.shift()
            if (chunk !== undefined) touched.release(chunk.generation)
          } else {
            touched.add(one, String(event))
            for (const chunk of chunks) if (chunk.marker <= met) chunk.since.add(String(event))
          }
          for (const chunk of chunks) {
            const sets = touched.setsSince(one, chunk.generation)
            for (const key of chunk.since)
              assert.ok(
                sets.some((set) => set.has(key)),
                `key ${key} was forgotten`,
              )
          }
        }
        for (const chunk of chunks) touched.release(chunk.generation)
        touched.release(touched.begin())
        assert.equal(touched.bytes, 0, 'memory is given back')
      },
    ),
  )
})

test('1.4: what the tail brings before it has met a low marker is not kept for chunks behind that; what it brings behind, always', () => {
  const touched = new TouchedKeys<object>()
  const has = (generation: number, key: string): boolean => touched.setsSince(one, generation).some((set) => set.has(key))
  // The tail is far behind: a chunk is read meanwhile.
  const first = touched.begin(7)
  for (let key = 0; key < 1_000; key++) touched.add(one, `before ${key}`)
  assert.equal(touched.bytes, 0)
  touched.met(7)
  touched.add(one, 'a')
  const second = touched.begin(8)
  touched.add(one, 'b')
  touched.met(8)
  touched.add(one, 'c')
  assert.deepEqual(
    ['a', 'b', 'c'].map((key) => has(first, key)),
    [true, true, true],
  )
  assert.deepEqual(
    ['a', 'b', 'c'].map((key) => has(second, key)),
    [false, false, true],
  )
  touched.release(first)
  touched.release(second)
  touched.add(one, 'd')
  assert.equal(touched.bytes, 0)
})
