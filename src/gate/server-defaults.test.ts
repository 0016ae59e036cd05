import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultsIn, differingDefaults } from './server-defaults.ts'

const of = (values: Readonly<Record<string, string>>): ReturnType<typeof defaultsIn> =>
  defaultsIn(Object.entries(values).map(([name, value]) => ({ Variable_name: name, Value: value })))

test('defaults that servers of one keyspace have differently are found, and no others', () => {
  const utc = { time_zone: 'SYSTEM', system_time_zone: 'UTC', tx_isolation: 'REPEATABLE-READ' }
  const found = new Map([
    ['a', of(utc)],
    ['b', of({ ...utc, system_time_zone: 'CEST' })],
    ['c', of({ time_zone: '+02:00', system_time_zone: 'CEST', transaction_isolation: 'READ-COMMITTED' })],
    ['d', of({ ...utc, div_precision_increment: '4' })],
  ])
  const differing = (...servers: string[]): string[] =>
    differingDefaults(new Map([['shop', new Set(servers)]]), found).map(
      ({ variable, values }) =>
        `${variable} ${Object.entries(values)
          .map((pair) => pair.join(':'))
          .join(' ')}`,
    )
  assert.deepEqual(differing('a', 'b'), ['system_time_zone a:UTC b:CEST'])
  assert.deepEqual(differing('b', 'c'), ['time_zone b:SYSTEM c:+02:00', 'transaction_isolation b:REPEATABLE-READ c:READ-COMMITTED'])
  // What a server does not have, or has not said, differs from nothing.
  assert.deepEqual(differing('a', 'd', 'silent'), [])
  assert.deepEqual(
    differingDefaults(
      new Map([
        ['one', new Set(['a'])],
        ['two', new Set(['c'])],
      ]),
      found,
    ),
    [],
  )
})
