/** KILL with its number as a parameter, which MariaDB prepares and MySQL does not. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import type { Connection } from '../mysql/connection.ts'
import { columnType } from '../wire/column-types.ts'
import { double, execution, integer, text, type Param } from './testkit/execution.ts'
import { codeOf, gateOnServer } from './testkit/gate-on-server.ts'

for (const flavour of flavours())
  test(`a prepared KILL ends the session whose number is its parameter, as far as the server prepares it; ${flavour}`, async () => {
    const world = await gateOnServer({ keyspaces: { shop: { t: 'by id' }, plain: 'one' }, tables: ['t (id BIGINT PRIMARY KEY)'], flavour })
    const open: Connection[] = []
    const session = async (keyspace: string): Promise<Connection> => {
      const made = await world.session(keyspace)
      open.push(made)
      return made
    }
    try {
      for (const keyspace of ['shop', 'plain']) {
        const c = await session(keyspace)
        assert.match(await codeOf(c, 'KILL ?'), /SW-GATE-012/)
        if (flavour === 'mysql') {
          await assert.rejects(c.prepare('KILL ?'), /6413/)
          continue
        }
        for (const sql of ['KILL ?', 'KILL CONNECTION ?'])
          for (const param of [integer, double, (id: number): Param => text(String(id))]) {
            const other = await session(keyspace)
            const id = Number(await other.value('SELECT CONNECTION_ID()'))
            const statement = await c.prepare(sql)
            await c.executed(execution(statement.id, [param(id)]))
            statement.close()
            await assert.rejects(other.query('SELECT 1'))
          }
        const statement = await c.prepare('KILL QUERY ?')
        for (const none of [integer(99_999_999), integer(-1), text('x'), { type: columnType.null, text: null }])
          await assert.rejects(c.executed(execution(statement.id, [none])), /1094/)
      }
    } finally {
      for (const one of open) await one.close().catch(() => {})
      await world.stop()
    }
  })
