import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isSwError } from '../base/errors.ts'
import { createXxhashVindex } from '../keyspace/vindexes/xxhash.ts'
import type { Value } from '../sql/value.ts'
import type { ColumnInfo } from './plan/catalog.ts'
import { comparedValues, storedValue } from './plan/convert.ts'
import type { TextWay } from './plan/plan.ts'
import { column } from './plan/testkit.ts'
import { textWay } from './session-charset.ts'

const xxhash = createXxhashVindex({ name: 'text', type: 'xxhash', params: {} } as never)

test('promise 10: text that becomes other bytes on its way, or a character that is lost on it, is no key; a variable of the connection compares by its own character set', () => {
  const info = column('k', 'varbinary', { lengthMax: 40 })
  const text = { ...info, dataType: 'varchar', collation: 'utf8mb4_0900_bin', padSpace: false }
  const [bytes, wide] = [Buffer.from('é'), Buffer.from('a😀')]
  const takes = (info: ColumnInfo, value: Value, way: TextWay): boolean => {
    const compared = comparedValues(info, xxhash, [value], way)
    let stored = true
    try {
      storedValue('t', info, value, way)
    } catch (error) {
      assert.ok(isSwError(error, 'SW-GATE-122'))
      stored = false
    }
    assert.equal(compared !== 'unknown', stored)
    return stored
  }
  for (const time of ['DATE', 'TIMESTAMP', 'TIME'] as const)
    for (const one of [info, text])
      assert.equal(
        comparedValues(one, xxhash, [{ type: 'text', bytes: Buffer.from('2020-01-01'), time }], 'utf8mb4'),
        'unknown',
        'compared as times',
      )
  const ways = (info: ColumnInfo, value: Value): TextWay[] =>
    (['utf8mb4', 'utf8mb3', 'same', 'converted'] as const).filter((way) => takes(info, value, way))
  assert.deepEqual(ways(info, { type: 'text', bytes }), ['utf8mb4', 'utf8mb3', 'same'])
  assert.deepEqual(ways(info, { type: 'text', bytes, national: true }), ['utf8mb4', 'utf8mb3'])
  assert.deepEqual(ways(info, { type: 'text', bytes: wide }), ['utf8mb4', 'same'])
  assert.deepEqual(ways(info, { type: 'binary', bytes }), ['utf8mb4', 'utf8mb3', 'same', 'converted'])
  assert.deepEqual(ways(text, { type: 'text', bytes }), ['utf8mb4', 'utf8mb3'])
  assert.deepEqual(ways(text, { type: 'text', bytes: wide }), ['utf8mb4'])
  const compared = (collation: string, way: TextWay): boolean =>
    comparedValues({ ...text, collation }, xxhash, [{ type: 'text', bytes: Buffer.from('a'), variable: true }], way) !== 'unknown'
  assert.ok(compared('utf8mb4_bin', 'utf8mb4') && compared('utf8mb3_bin', 'utf8mb3') && compared('utf8_bin', 'utf8mb3'))
  assert.ok(!compared('latin1_bin', 'utf8mb4') && !compared('utf8mb3_bin', 'utf8mb4') && !compared('utf8mb4_bin', 'utf8mb3'))
})

test('promise 10: which way text goes by the settings', () => {
  const way = (settings: Record<string, string>): TextWay => textWay({ get: (name) => settings[name] })
  assert.equal(way({}), 'utf8mb4')
  assert.equal(way({ names: "'utf8mb4' COLLATE utf8mb4_bin" }), 'utf8mb4')
  assert.equal(way({ names: 'utf8' }), 'utf8mb3')
  assert.equal(way({ character_set_connection: 'utf8mb3' }), 'utf8mb3')
  assert.equal(way({ names: 'latin1' }), 'same')
  assert.equal(way({ names: 'latin1', collation_connection: 'latin1_bin' }), 'same')
  assert.equal(way({ collation_connection: 'latin1_swedish_ci' }), 'converted')
  assert.equal(way({ names: 'latin1', character_set_connection: 'utf8mb4' }), 'converted')
  assert.equal(way({ names: 'latin1', character_set_client: 'cp1251' }), 'converted')
  assert.equal(way({ character_set_client: 'latin1', character_set_connection: '@@collation_database' }), 'converted')
})
