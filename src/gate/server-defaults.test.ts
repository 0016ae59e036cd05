import assert from 'node:assert/strict'
import { test } from 'node:test'
import { agreedDefaults, defaultsIn, differingDefaults } from './server-defaults.ts'

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

test('of each the value that most servers have is given to all, as far as a session can have it', () => {
  const found = new Map([
    ['a', of({ time_zone: '+02:00', system_time_zone: 'UTC', div_precision_increment: '4', explicit_defaults_for_timestamp: 'ON' })],
    ['b', of({ time_zone: 'SYSTEM', system_time_zone: 'UTC', div_precision_increment: '8', explicit_defaults_for_timestamp: 'OFF' })],
    ['c', of({ time_zone: 'SYSTEM', system_time_zone: 'UTC', div_precision_increment: '8', explicit_defaults_for_timestamp: 'ON' })],
    ['d', of({ time_zone: 'SYSTEM', system_time_zone: 'CEST', div_precision_increment: '8', explicit_defaults_for_timestamp: 'ON' })],
  ])
  const agreed = (keyspaces: Readonly<Record<string, readonly string[]>>): string[] =>
    [...agreedDefaults(new Map(Object.entries(keyspaces).map(([name, servers]) => [name, new Set(servers)])), found)].map(
      ([server, values]) => `${server}: ${[...values].map((pair) => pair.join(' ')).join(', ')}`,
    )
  const most = 'time_zone SYSTEM, div_precision_increment 8'
  assert.deepEqual(agreed({ shop: ['a', 'b', 'c'] }), [`a: ${most}`, `b: ${most}`, `c: ${most}`])
  // Among as many that of the first.
  const first = 'time_zone +02:00, div_precision_increment 4'
  assert.deepEqual(agreed({ shop: ['b', 'a'] }), [`b: ${first}`, `a: ${first}`])
  // SYSTEM is no value where the systems differ.
  assert.deepEqual(
    agreed({ shop: ['c', 'd', 'a'] }).map((one) => one.split(',')[0]),
    ['c: time_zone +02:00', 'd: time_zone +02:00', 'a: time_zone +02:00'],
  )
  assert.deepEqual(agreed({ shop: ['c', 'd'] }), [])
  // Where keyspaces have servers in common each is of one value all the same.
  assert.deepEqual(
    agreed({ one: ['a', 'b'], two: ['b', 'd'] })
      .map((one) => one.split(', ').at(-1))
      .toSorted(),
    ['div_precision_increment 8', 'div_precision_increment 8', 'div_precision_increment 8'],
  )
  assert.deepEqual(
    [agreed({ one: ['a', 'x'], two: ['c', 'y'], three: ['x', 'y'] }), agreed({ one: ['a', 'x'], two: ['c', 'y'] })].map(
      ({ length }) => length,
    ),
    [2, 0],
  )
  // Each keyspace has its own.
  assert.deepEqual(agreed({ one: ['a'], two: ['b', 'c'] }), [])
})

test('SYSTEM is given to no server whose system has another zone, also where that one does not have SYSTEM by default', () => {
  const found = new Map([
    ['a', of({ time_zone: 'SYSTEM', system_time_zone: 'UTC' })],
    ['b', of({ time_zone: '+02:00', system_time_zone: 'CEST' })],
    ['c', of({ time_zone: 'SYSTEM', system_time_zone: 'UTC' })],
  ])
  const agreed = agreedDefaults(new Map([['shop', new Set(['a', 'b', 'c'])]]), found)
  assert.deepEqual(
    ['a', 'b', 'c'].map((id) => agreed.get(id)?.get('time_zone')),
    ['+02:00', '+02:00', '+02:00'],
  )
})

test('a server that is heard of later is given what connections have, those who have it keep it', () => {
  const found = new Map([['a', of({ div_precision_increment: '4' })]])
  const digits = (agreed: ReturnType<typeof agreedDefaults>): unknown =>
    [...agreed].map(([id, values]) => [id, [...values.values()].join()])
  const shop = new Map([['shop', new Set(['a', 'b', 'c', 'd'])]])
  assert.deepEqual(digits(agreedDefaults(shop, found)), [])
  for (const id of ['b', 'c']) found.set(id, of({ div_precision_increment: '8' }))
  const given = agreedDefaults(shop, found, new Set(['a']))
  const one = ['a', 'b', 'c'].map((id) => [id, '4'])
  assert.deepEqual(digits(given), one)
  found.set('d', of({ div_precision_increment: '8' }))
  assert.deepEqual(digits(agreedDefaults(shop, found, new Set(['a', 'b', 'c']), given)), [...one, ['d', '4']])
  // Nor does it go back to its own where the keyspace has one server fewer.
  assert.deepEqual(digits(agreedDefaults(new Map(), found, new Set(['a', 'b', 'c']), given)), one)
})
