/** Proves that rows which a ROLLBACK TO took back never come out, that all others do in their order, and that what has been given out is not taken back in silence. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { savepointName, Savepoints } from './savepoints.ts'
import type { TailEvent } from './source.ts'

const at = { file: 'b', offset: 4 }
const rows = (name: string, bytes = 10): TailEvent => ({
  kind: 'rows',
  table: { schema: 's', name, columns: [] },
  change: 'insert',
  length: 1,
  before: null,
  after: null,
  bytes,
  engineCascades: false,
  at,
})
const nameOf = (event: TailEvent): string => (event.kind === 'rows' ? event.table.name : event.kind)

function out(savepoints: Savepoints, ...events: TailEvent[]): string[] {
  const found: string[] = []
  for (const event of events) {
    const free = savepoints.take(event)
    if (free !== undefined) found.push(nameOf(free))
    for (let next = savepoints.next(); next !== undefined; next = savepoints.next()) found.push(nameOf(next))
  }
  return found
}

test('promise 3: only what was not taken back comes out, at the end', () => {
  const savepoints = new Savepoints()
  assert.deepEqual(out(savepoints, rows('a')), ['a'])
  savepoints.set('s')
  assert.deepEqual(out(savepoints, rows('b')), [])
  savepoints.set('t')
  assert.deepEqual(out(savepoints, rows('c')), [])
  assert.equal(savepoints.back('t'), true)
  assert.deepEqual(out(savepoints, rows('d')), [])
  // Going back leaves the savepoint, and takes those set since.
  assert.equal(savepoints.back('s'), true)
  assert.deepEqual(out(savepoints, rows('e')), [])
  assert.equal(savepoints.back('t'), false)
  savepoints.end('stand')
  assert.deepEqual(out(savepoints, { kind: 'heartbeat', at }), ['e', 'heartbeat'])
  assert.deepEqual(out(savepoints, rows('f')), ['f'])
})

test('of two savepoints with one name the later counts', () => {
  const savepoints = new Savepoints()
  savepoints.set('s')
  out(savepoints, rows('a'))
  savepoints.set('s')
  out(savepoints, rows('b'))
  assert.equal(savepoints.back('s'), true)
  savepoints.end('stand')
  assert.deepEqual(savepoints.next(), rows('a'))
  assert.equal(savepoints.next(), undefined)
})

test('promise 8, 4: a large group is not kept whole, and what was given out is not taken back in silence', () => {
  const savepoints = new Savepoints()
  savepoints.set('s')
  assert.deepEqual(out(savepoints, rows('a', 3 << 20)), [])
  assert.deepEqual(out(savepoints, rows('b', 3 << 20)), ['a', 'b'])
  savepoints.set('t')
  assert.deepEqual(out(savepoints, rows('c')), [])
  assert.equal(savepoints.back('t'), true)
  assert.equal(savepoints.back('s'), false)
  assert.equal(savepoints.back('unknown'), false)
})

test('names as the servers write them', () => {
  const name = (text: string): string => savepointName(Buffer.from(text))
  assert.deepEqual(
    ['SAVEPOINT `s 1`', 'savepoint S', 'ROLLBACK TO `s"x`', 'ROLLBACK WORK TO SAVEPOINT "É"', 'ROLLBACK TO SAVEPOINT s ;'].map(name),
    ['s 1', 's', 's"x', 'é', 's'],
  )
})
