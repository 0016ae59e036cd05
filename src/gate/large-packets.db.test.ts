/** Executions and long data of 16 MiB and more come in several frames: headers between them are no part of what they hold. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import type { Connection } from '../mysql/connection.ts'
import { columnType } from '../wire/column-types.ts'
import { com } from '../wire/commands.ts'
import { frame, FRAME_BYTES_MAX } from '../wire/frames.ts'
import { encodeExecute } from '../wire/stmt-execute.ts'
import { prepareRaw } from './prepared.ts'
import { gateOnServer } from './testkit/gate-on-server.ts'

const large = (salt: number): Buffer => {
  const data = Buffer.alloc(FRAME_BYTES_MAX + 1_000_000, `row ${salt}: `)
  data.writeUInt32LE(salt, FRAME_BYTES_MAX - 40)
  return data
}
const digest = (data: Buffer): string => createHash('sha256').update(data).digest('hex')

function send(c: Connection, payload: Buffer): Promise<void> {
  return new Promise((resolve, reject) =>
    c.relay(frame(payload), {
      bytes() {},
      end: (end) => (end.kind === 'error' ? reject(new Error(end.message)) : resolve()),
      fail: reject,
    }),
  )
}

/** As clients send what they have executed before: without types. */
function withoutTypes(execution: Buffer, params: number): Buffer {
  const at = 10 + ((params + 7) >> 3)
  return Buffer.concat([execution.subarray(0, at), Buffer.from([0]), execution.subarray(at + 1 + 2 * params)])
}

/** The first parameter is sent apart: a BLOB that is not NULL, and has no value here. */
function withLongFirst(execution: Buffer): Buffer {
  execution.writeUInt8(execution.readUInt8(10) & ~1, 10)
  execution.writeUInt8(columnType.blob, 12)
  return execution
}

function longData(statement: number, parameter: number, data: Buffer): Buffer {
  const head = Buffer.alloc(7)
  head[0] = com.stmtSendLongData
  head.writeUInt32LE(statement, 1)
  head.writeUInt16LE(parameter, 5)
  return Buffer.concat([head, data])
}

for (const flavour of flavours())
  test(`promise 10: parameters of 16 MiB and more arrive as they were sent, and rows on their shards; ${flavour}`, async () => {
    const world = await gateOnServer({
      keyspaces: { shop: { t: 'by id' }, one: 'one' },
      tables: ['t (id BIGINT PRIMARY KEY, data LONGBLOB, n INT)'],
      flavour,
      settings: { 'max-allowed-packet': 64 * 1024 * 1024 },
    })
    try {
      for (const database of ['shop', 'one']) {
        await using c = await world.session(database)
        const held = async (id: number): Promise<string> => String(await c.value(`SELECT SHA2(data, 256) FROM t WHERE id = ${id}`))
        // The key stands behind the data: read from another place it would be another shard's.
        const insert = await prepareRaw(c, Buffer.from('INSERT INTO t (data, id, n) VALUES (?, ?, 0)'), null)
        for (const id of [1, 2, 3, 4]) {
          const params = [large(id), BigInt(id)]
          const execution = encodeExecute(insert.id, params, 0)
          await send(c, id === 1 ? execution : withoutTypes(execution, 2))
        }
        for (const id of [1, 2, 3, 4]) assert.equal(await held(id), digest(large(id)), `${database} ${id}`)
        // A text that is made anew: over shards, with the parameters of each.
        const update = await prepareRaw(c, Buffer.from('UPDATE t SET data = ?, n = n + 1 WHERE id IN (?, ?, ?)'), null)
        await send(c, encodeExecute(update.id, [large(9), 1n, 2n, 3n], 0))
        for (const id of [1, 2, 3]) assert.equal(await held(id), digest(large(9)), `${database} ${id}`)
        for (const id of [5n, 6n]) {
          await send(c, encodeExecute(insert.id, ['short', id + 10n], 0))
          c.relay(frame(longData(insert.id, 0, large(7))), { bytes() {}, end() {}, fail() {} })
          await send(c, withLongFirst(encodeExecute(insert.id, [null, id], 0)))
          assert.equal(await held(Number(id)), digest(large(7)), `${database} ${id}`)
        }
        // On a connection that has not seen the types they are put in.
        const others = await Promise.all([1, 2, 3].map(() => world.session(database)))
        for (const other of others) {
          await other.query('BEGIN')
          await other.query('SELECT * FROM t WHERE id = 100')
          await other.query('SELECT * FROM t WHERE id = 102')
        }
        await send(c, withoutTypes(encodeExecute(insert.id, [large(8), 8n], 0), 2))
        for (const other of others) await other.close()
        assert.equal(await held(8), digest(large(8)), `${database} on another connection`)
      }
    } finally {
      await world.stop()
    }
  })
