/** To a server every client is the account of the gate: what would change that account, by any of its names and in any form, is refused; other accounts are the client's to change. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { connect } from '../mysql/connect.ts'
import type { Connection } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import { flavours } from '../../test/kit/servers.ts'
import { codeOf, gateOnServer, type GateOnServer } from './testkit/gate-on-server.ts'

for (const flavour of flavours()) {
  describe(flavour, () => {
    let world: GateOnServer
    let one: Connection
    let wide: Connection

    before(async () => {
      world = await gateOnServer({
        flavour,
        keyspaces: { one: 'one', wide: { t: 'by id' } },
        tables: ['t (id BIGINT PRIMARY KEY, password VARCHAR(9))'],
      })
      await world.admin.query("CREATE USER other@'%' IDENTIFIED BY 'before'")
      for (const user of ['sw_admin', 'sw_mover']) await world.admin.query(`CREATE USER ${user}@'%' IDENTIFIED BY 'own'`)
      one = await world.session('one')
      wide = await world.session('wide')
    })
    after(async () => {
      await one?.close()
      await wide?.close()
      await world?.stop()
    })

    async function mayConnect(user: string, password: string): Promise<boolean> {
      try {
        await (await connect({ host: '127.0.0.1', port: world.serverPort, user, password })).close()
        return true
      } catch (error) {
        if (isServerError(error)) return false
        throw error
      }
    }
    /** Of a password, as SET PASSWORD takes it. */
    const told = (password: string): string => (flavour === 'mariadb' ? `PASSWORD('${password}')` : `'${password}'`)
    const own = [
      `SET PASSWORD = ${told('lost')}`,
      `/*!50000 SET */ PASSWORD = ${told('lost')}`,
      `SET PASSWORD FOR CURRENT_USER() = ${told('lost')}`,
      `SET PASSWORD FOR sw_gate@'%' = ${told('lost')}`,
      "ALTER USER CURRENT_USER() IDENTIFIED BY 'lost'",
      "ALTER USER CURRENT_USER IDENTIFIED BY 'lost'",
      "ALTER USER USER() IDENTIFIED BY 'lost'",
      "ALTER USER sw_gate IDENTIFIED BY 'lost'",
      "ALTER USER IF EXISTS other@'%', 'sw\\_gate'@'%' IDENTIFIED BY 'lost'".replace('\\_', '_'),
      "ALTER USER '\\sw_gate'@'%' ACCOUNT LOCK",
      "ALTER USER sw_admin@'%' IDENTIFIED BY 'lost'",
      "DROP USER `sw_mover`@'%'",
      "DROP USER sw_gate@'%'",
      "RENAME USER sw_gate@'%' TO lost@'%'",
      'REVOKE INSERT ON *.* FROM CURRENT_USER',
      "GRANT SELECT ON one.t TO 'sw_gate'",
      ...(flavour === 'mysql'
        ? ['SET DEFAULT ROLE NONE TO sw_gate']
        : [
            'SET DEFAULT ROLE NONE',
            "CREATE OR REPLACE USER sw_gate@'%'",
            `SET @a = 1, PASSWORD = ${told('lost')}`,
            'SET @a = 1, DEFAULT ROLE NONE',
          ]),
      `PREPARE s FROM 'SET PASSWORD = ${told('lost').replaceAll("'", "''")}'`,
      ...(flavour === 'mariadb'
        ? [
            "EXECUTE IMMEDIATE 'ALTER USER CURRENT_USER() ' 'IDENTIFIED BY ''lost'''",
            "BEGIN NOT ATOMIC ALTER USER sw_gate IDENTIFIED BY 'lost'; END",
          ]
        : []),
      `CREATE PROCEDURE p() SET PASSWORD = ${told('lost')}`,
    ]

    test('what would act on an account of ours', async () => {
      for (const sql of own) {
        assert.equal(await codeOf(one, sql), 'SW-GATE-012', sql)
        assert.ok(await mayConnect('sw_gate', 'gate-secret'), sql)
      }
      for (const sql of own) assert.match(await codeOf(wide, sql), /^(SW-GATE-|SW-SQL-|1064)/, sql)
      for (const [user, password] of [
        ['sw_gate', 'gate-secret'],
        ['sw_admin', 'own'],
        ['sw_mover', 'own'],
      ] as const)
        assert.ok(await mayConnect(user, password), user)
    })

    test('the same through a prepared statement, and without a keyspace', async () => {
      const without = await connect({ host: '127.0.0.1', port: world.port, user: 'app', password: 'secret' })
      try {
        const sql = "ALTER USER CURRENT_USER() IDENTIFIED BY 'lost'"
        await assert.rejects(one.prepare(sql), /SW-GATE-012/)
        assert.equal(await codeOf(without, `SET PASSWORD = ${told('lost')}`), 'SW-GATE-012')
        assert.ok(await mayConnect('sw_gate', 'gate-secret'))
      } finally {
        await without.close()
      }
    })

    test('accounts that are not ours, and columns of that name', async () => {
      assert.equal(await codeOf(one, "ALTER USER other@'%' IDENTIFIED BY 'first'"), 'done')
      assert.ok(await mayConnect('other', 'first'))
      assert.equal(await codeOf(one, `SET PASSWORD FOR other@'%' = ${told('second')}`), 'done')
      assert.ok(await mayConnect('other', 'second'))
      for (const sql of [
        "UPDATE t SET password = 'x' WHERE id = 1",
        "CREATE PROCEDURE q() UPDATE t SET password = 'x'",
        "PREPARE s FROM 'UPDATE t SET password = 1'",
      ])
        assert.equal(await codeOf(one, sql), 'done', sql)
    })
  })
}
