import assert from 'node:assert/strict'
import { test } from 'node:test'
import { columnType } from '../wire/column-types.ts'
import { com } from '../wire/commands.ts'
import { frame, HEADER_BYTES } from '../wire/frames.ts'
import { executionOf } from './parameters.ts'
import { Executions } from './part-stream.ts'
import { executionFrame, type SessionStatement } from './prepared.ts'

const types = Buffer.from([columnType.long, 0])
const value = Buffer.from([7, 0, 0, 0])
const head = Buffer.from([com.stmtExecute, 1, 0, 0, 0, 0, 1, 0, 0, 0])
/** Without types, as a client sends its second execution. */
const again = Buffer.concat([head, Buffer.from([0, 0]), value])

function packetOf(payload: Buffer): { payload: Buffer; framed(): Buffer } {
  const own = Buffer.from(payload)
  return { payload: own, framed: () => frame(own) }
}

function statement(): SessionStatement {
  return { paramCount: 1, types: Buffer.from(types), bound: 'bound', key: '', executionKey: 'bound' } as SessionStatement
}

test('types are put in for a connection that has others, and not for one where another session has bound the same', () => {
  const withTypes = frame(Buffer.concat([head, Buffer.from([0, 1]), types, value]))
  const on = { id: 1, boundTypes: null as Buffer | null }
  const [one, another] = [statement(), statement()]
  assert.deepEqual(executionFrame(packetOf(again), one, on), withTypes)
  assert.deepEqual(executionFrame(packetOf(again), another, on), frame(again))
  on.boundTypes = Buffer.from([columnType.longlong, 0])
  assert.deepEqual(executionFrame(packetOf(again), one, on), withTypes)
})

test('executions of one text on several shards differ in nothing but the id; of another text they are made anew', () => {
  const params = [
    { type: columnType.longlong, unsigned: false, value: 5n },
    { type: columnType.varString, unsigned: false, value: Buffer.from('abc') },
  ]
  const executions = new Executions(params)
  const [text, other] = [Buffer.from('SELECT ?, ?'), Buffer.from('SELECT ?')]
  const [both, second] = [[0, 1], [1]]
  const frames = [7, 70_000, 8].map((id) => executions.frame(id, text, both))
  assert.deepEqual(
    frames,
    [7, 70_000, 8].map((id) => executionOf(id, both, params)),
  )
  assert.equal(frames[1]?.readUInt32LE(HEADER_BYTES + 1), 70_000)
  assert.deepEqual(executions.frame(9, other, second), executionOf(9, second, params))
  assert.notEqual(executions.key(text, both), executions.key(other, second))
  assert.deepEqual(executions.frame(7, text, both), executionOf(7, both, params))
})
