/** PROTOCOLS 1.11: rows that a cascade changes are followed only where the server logs them, and each side is followed at some time. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { flavourOf } from '../mysql/flavour/flavour.ts'
import { connect } from '../mysql/connect.ts'
import { probeCascades } from '../mysql/cascade-probe.ts'
import { ownServer } from '../switch/control-schema.ts'
import { flavours, type TestServer } from '../../test/kit/servers.ts'
import { Office, rootOf, testServer } from './testkit/office.ts'

const schema = [
  'CREATE DATABASE app',
  'CREATE TABLE app.parent (id INT NOT NULL PRIMARY KEY)',
  `CREATE TABLE app.child (id INT NOT NULL PRIMARY KEY, parent INT NOT NULL, CONSTRAINT away FOREIGN KEY (parent) REFERENCES parent (id) ON DELETE CASCADE)`,
  'INSERT INTO app.parent VALUES (1)',
  'INSERT INTO app.child VALUES (7, 1)',
]

if (flavours().includes('mysql')) {
  describe('1.11: cascades', () => {
    let plain: TestServer
    let native: TestServer
    let other: TestServer | null = null
    let office: Office
    before(async () => {
      const servers = await Promise.all([
        testServer({ flavour: 'mysql', durability: 'full' }),
        testServer({ flavour: 'mysql', durability: 'full', extra: { 'innodb-native-foreign-keys': 'ON' } }),
        flavours().includes('mariadb') ? testServer({ flavour: 'mariadb', durability: 'full' }) : null,
      ])
      ;[plain, native, other] = servers
      office = await Office.open('mysql')
      for (const server of [plain, native]) {
        await using root = await rootOf(server)
        for (const sql of schema) await root.query(sql)
      }
      for (const server of [plain, native, other]) {
        if (server === null) continue
        await using root = await rootOf(server)
        await root.query("CREATE USER boss@'%' IDENTIFIED BY 'secret'")
        await root.query("GRANT ALL ON *.* TO boss@'%' WITH GRANT OPTION")
      }
    })
    after(async () => {
      await office[Symbol.asyncDispose]()
      await Promise.all([plain, native, other].map((server) => server?.[Symbol.asyncDispose]()))
    })

    const databases = async (server: TestServer): Promise<(string | null)[]> => {
      await using root = await rootOf(server)
      return (await root.allText('SHOW DATABASES')).flatMap((row) => Object.values(row))
    }

    /** What a creation on another server is refused by. */
    const told = async (keyspace: string, to: TestServer): Promise<string> => {
      const targetServers = [{ host: '127.0.0.1', port: to.port, user: 'boss', password: 'secret' }]
      const made = await office.create(keyspace, `w${to.port}`, { targetServers })
      return `${made.state}: ${made.errors.map(({ code, what }) => `${code} ${what}`).join('; ')}`
    }

    test('what a server is said to log is what it logs', async () => {
      for (const [server, logs] of [
        [plain, true],
        [native, false],
      ] as const) {
        await using root = await rootOf(server)
        const at = (await root.allText('SHOW BINARY LOG STATUS'))[0]
        await root.query('DELETE FROM app.parent')
        const events = await root.allText(`SHOW BINLOG EVENTS IN '${at?.['File']}' FROM ${at?.['Position']}`)
        assert.equal(await root.value('SELECT COUNT(*) FROM app.child'), '0')
        assert.equal(
          events.some(({ Info }) => /app\.child/.test(Info ?? '')),
          logs,
        )
        assert.equal(await flavourOf(root).logsCascades(root), logs)
        const before = await databases(server)
        assert.deepEqual(await probeCascades(root), { logs, by: 'probe', why: null })
        assert.deepEqual(await databases(server), before, 'nothing is left of it')
      }
    })

    test('a server is tried, and one that the account may not try on is told by its version', async () => {
      for (const server of [plain, other]) {
        if (server === null) continue
        await using root = await rootOf(server)
        assert.deepEqual(await probeCascades(root), { logs: server === plain, by: 'probe', why: null })
        await root.query("CREATE USER weak@'%' IDENTIFIED BY 'secret'")
        await using weak = await connect({ ...server.config, user: 'weak', password: 'secret' })
        const { logs, by, why } = await probeCascades(weak)
        assert.deepEqual([logs, by], [server === plain, 'version'])
        assert.match(why ?? '', /denied/)
      }
    })

    test('a target that does not log them is refused, as a source is', async () => {
      const back = /failed: SW-CHANGE-\d+ foreign key away of child says ON DELETE CASCADE, and the target server 127/
      await office.keyspace('one', plain, 'app', ['parent', 'child'])
      const before = await databases(native)
      assert.match(await told('one', native), back)
      assert.deepEqual(await databases(native), before, 'promise 12: a server that is refused is left as it was')
      if (other !== null) assert.match(await told('one', other), back)
      await using root = await rootOf(plain)
      assert.deepEqual(await root.allText("SHOW TABLES FROM _shardwright LIKE 'cascade%'"), [], 'where it is ours already, too')
      await office.keyspace('two', native, 'app', ['parent', 'child'])
      assert.match(await told('two', plain), /failed: SW-CHANGE-028 foreign key away of child says ON DELETE CASCADE/)
    })

    test('promise 12: nothing is tried on a server of another installation', async () => {
      if (other === null) return
      await using root = await rootOf(other)
      await ownServer(root, 'theirs', 'there')
      const written = async (): Promise<unknown> => (await root.allText('SHOW MASTER STATUS'))[0]?.['Position']
      const at = await written()
      assert.match(await told('one', other), /^failed: SW-SWITCH-004 [^;]*belongs to the Shardwright installation theirs$/)
      assert.equal(await written(), at)
    })
  })
}
