/** A tail opened before its stream knows its tables: the same tail, decoded by what is known when it is read. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Position, TableChooser, Tail } from '../binlog/source.ts'
import { TailAhead } from './tail-ahead.ts'

const at = (text: string): Position => text as Position
const decode: TableChooser = () => ({ kind: 'decode', columns: [] })

/** What was begun and is not awaited has come as far as it can. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

function opener(): {
  opened: { position: Position; table: TableChooser; closed: number; tail: Tail }[]
  open: ConstructorParameters<typeof TailAhead>[0]
} {
  const opened: ReturnType<typeof opener>['opened'] = []
  const open = async (position: Position, table: TableChooser): Promise<Tail> => {
    const one = { position, table, closed: 0, tail: null as unknown as Tail }
    one.tail = { close: () => Promise.resolve(void one.closed++) } as Tail
    opened.push(one)
    return one.tail
  }
  return { opened, open }
}

test('1.2: the tail that is read is the one that was opened ahead, by the tables known by then; it is not closed behind its reader', async () => {
  const { opened, open } = opener()
  const ahead = new TailAhead(open)
  ahead.begin(at('a'))
  assert.equal(opened.length, 1)
  assert.equal(await ahead.take(at('a'), decode), opened[0]?.tail)
  assert.deepEqual(opened[0]?.table('app', 't'), { kind: 'decode', columns: [] })
  await ahead[Symbol.asyncDispose]()
  assert.deepEqual([opened.length, opened[0]?.closed], [1, 0])
})

test('1.2: another position is opened there, and what was opened ahead is closed at once, not at the end of the run', async () => {
  const { opened, open } = opener()
  const ahead = new TailAhead(open)
  ahead.begin(at('a'))
  assert.equal(await ahead.take(at('b'), decode), opened[1]?.tail)
  assert.equal(opened[1]?.position, 'b')
  await settled()
  assert.deepEqual([opened[0]?.closed, opened[1]?.closed], [1, 0])
  await ahead[Symbol.asyncDispose]()
  assert.deepEqual([opened[0]?.closed, opened[1]?.closed], [1, 0])
})

test('1.2: begun again elsewhere, the first is closed at once and the second is the one that is read', async () => {
  const { opened, open } = opener()
  const ahead = new TailAhead(open)
  ahead.begin(at('a'))
  ahead.begin(at('b'))
  await settled()
  assert.deepEqual([opened[0]?.closed, opened[1]?.closed], [1, 0])
  assert.equal(await ahead.take(at('b'), decode), opened[1]?.tail)
  await ahead[Symbol.asyncDispose]()
  assert.deepEqual([opened.length, opened[0]?.closed, opened[1]?.closed], [2, 1, 0])
})

test('a tail that ends badly when it is closed is nobody’s failure', async () => {
  const tail = { close: () => Promise.reject(new Error('gone')) } as unknown as Tail
  const ahead = new TailAhead(() => Promise.resolve(tail))
  ahead.begin(at('a'))
  await ahead.take(at('b'), decode)
  ahead.begin(at('c'))
  await ahead[Symbol.asyncDispose]()
})

test('what nobody takes is closed, and what cannot be opened is told when it is taken', async () => {
  const { opened, open } = opener()
  const unused = new TailAhead(open)
  unused.begin(at('a'))
  await unused[Symbol.asyncDispose]()
  assert.equal(opened[0]?.closed, 1)
  const failing = new TailAhead(() => Promise.reject(new Error('refused')))
  failing.begin(at('a'))
  await assert.rejects(failing.take(at('a'), decode), /refused/)
  const forgotten = new TailAhead(() => Promise.reject(new Error('refused')))
  forgotten.begin(at('a'))
  await forgotten[Symbol.asyncDispose]()
})
