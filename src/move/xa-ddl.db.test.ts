/** What rows of prepared XA transactions rest on (`xa.ts`): nobody changes the definition of a table that they were written by. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { flavours, testServer } from '../../test/kit/servers.ts'
import { connect } from '../mysql/connect.ts'

for (const flavour of flavours())
  test(`1.9, 1.13 on ${flavour}: a table that a prepared XA transaction has written is not altered before its outcome, also when its session has ended, and over a crash of the server`, async () => {
    await using server = await testServer({ flavour })
    {
      await using root = await connect(server.config)
      await root.query('CREATE DATABASE x')
      await root.query('CREATE TABLE x.t (id INT NOT NULL PRIMARY KEY, a INT, b INT)')
    }
    const at = { ...server.config, database: 'x' }
    // Each in a session of its own, together: a second a time, not seven.
    const statements = [
      'ALTER TABLE t ADD c INT NULL',
      'ALTER TABLE t ADD c INT NOT NULL DEFAULT 4, DROP COLUMN b',
      'ALTER TABLE t MODIFY b INT NULL FIRST',
      'ALTER TABLE t RENAME COLUMN b TO bb',
      'TRUNCATE TABLE t',
      'RENAME TABLE t TO u',
      'DROP TABLE t',
    ]
    const refused = async (): Promise<void> => {
      const refuse = async (statement: string): Promise<void> => {
        await using other = await connect(at)
        await other.query('SET SESSION lock_wait_timeout = 1, innodb_lock_wait_timeout = 1')
        await assert.rejects(other.query(statement), { errno: 1205 }, statement)
      }
      await Promise.all(statements.map(refuse))
    }
    {
      await using session = await connect(at)
      await session.query("XA START 'q'")
      await session.query('INSERT INTO t VALUES (1, 2, 3)')
      await session.query("XA END 'q'")
      await session.query("XA PREPARE 'q'")
      await refused()
    }
    await refused()
    await server.kill9()
    await server.restart()
    await refused()
    await using root = await connect(at)
    await root.query("XA COMMIT 'q'")
    await root.query('ALTER TABLE t ADD c INT NULL')
    assert.equal(await root.value('SELECT b FROM t'), '3')
  })
