import assert from 'node:assert/strict'
import { test } from 'node:test'
import { differs, heldRowsMax, heldRowsOf } from './held-rows.ts'
import type { Change } from './pending.ts'
import { LiteralKind, type MovedColumn, type TablePlan } from './table-plan.ts'

const change = (key: number, bytes = 10): Change => ({ table: {} as TablePlan, key: String(key), row: 'x'.repeat(bytes), images: null })

test('1.6, 1.13: of many rows held back each is asked about in its turn', () => {
  for (const bytes of [10, 3 << 20]) {
    const held = Array.from({ length: bytes === 10 ? 2 * heldRowsMax + 50 : 7 }, (_, i) => change(i, bytes))
    const asked = new Set<Change>()
    let from = 0
    for (let look = 0; look < 7; look++) {
      const rows = heldRowsOf(held, from)
      from += rows.length
      for (const row of rows) asked.add(row)
    }
    assert.equal(asked.size, held.length)
  }
  assert.equal(heldRowsOf([change(1), change(2)], 7).length, 2)
  assert.deepEqual(heldRowsOf([], 3), [])
  assert.equal(heldRowsOf([change(1, 9 << 20), change(2, 9 << 20)], 1).length, 1, 'promise 8: not of more megabytes than those of one')
})

test('1.6, 1.13: a row differs where a value is another, not where it may be written in two ways', () => {
  const column = (kind: MovedColumn['kind'], dataType: string): MovedColumn => {
    return { kind, ordinal: 0, definition: { dataType } as MovedColumn['definition'] }
  }
  const of = (kind: MovedColumn['kind'], dataType: string, was: string, now: string): boolean =>
    differs({ columns: [column(LiteralKind.number, 'int'), column(kind, dataType)] }, ['1', was], ['1', now])
  assert.equal(of(LiteralKind.text, 'varchar', "'a'", "'a'"), false)
  assert.equal(of(LiteralKind.text, 'varchar', "'a'", "'A'"), true)
  assert.equal(of(LiteralKind.text, 'varchar', "''", 'NULL'), true)
  assert.equal(of(LiteralKind.float, 'double', '1e2', '100'), false)
  assert.equal(of(LiteralKind.float, 'double', '1e2', '100.5'), true)
  assert.equal(of(LiteralKind.float, 'double', 'NULL', '0'), true)
  const json = (was: string, now: string): boolean => of(LiteralKind.mysqlJson, 'json', was, now)
  assert.equal(json(`_utf8mb4'{"a": "it\\'s"}'`, `_utf8mb4'{"a": "its"}'`), true)
  assert.equal(json("JSON_REPLACE(_utf8mb4'[12.340]',_utf8mb4'$[0]',12.340)", "_utf8mb4'[12.34]'"), false)
  assert.equal(json('NULL', "_utf8mb4'null'"), true)
  assert.equal(json("_utf8mb4'what is this'", "_utf8mb4'[1]'"), false, 'not known')
})
