// long: one world of tables and lookups, dear to make, serves all of its tests
/** Lookup vindexes: rows are found by them, and whatever is written, whoever dies, no row is without its row in the lookup. */
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { FaultProxy } from '../../test/kit/fault-proxy.ts'
import { flavours, testServer, type TestServer } from '../../test/kit/servers.ts'
import { until } from '../../test/kit/until.ts'
import { connect } from '../mysql/connect.ts'
import { keys } from '../topology/keys.ts'
import type { Connection } from '../mysql/connection.ts'
import type { Gate } from './gate.ts'
import { addKeyspace, addServer, addUser, MemoryStore, startGate } from './testkit/world.ts'

const shardNames = ['-40', '40-80', '80-c0', 'c0-']
const schemaOf = (name: string): string => `l_${name.replace('-', '_')}`

for (const flavour of flavours()) {
  describe(flavour, () => {
    let server: TestServer
    let admin: Connection
    /** Before the server of the lookups that stand by themselves. */
    let network: FaultProxy
    let store: MemoryStore
    let gate: Gate
    const others: Gate[] = []
    let port: number
    let c: Connection
    const client = (database = 'app'): Promise<Connection> =>
      connect({ host: '127.0.0.1', port, user: 'app', password: 'secret', database })

    before(async () => {
      server = await testServer({ flavour })
      admin = await connect(server.config)
      await admin.query("CREATE USER sw_gate@'%' IDENTIFIED BY 'gate-secret'")
      await admin.query("GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, CREATE TEMPORARY TABLES ON *.* TO sw_gate@'%'")
      for (const name of shardNames) {
        const schema = schemaOf(name)
        await admin.query(`CREATE DATABASE ${schema} CHARACTER SET utf8mb4`)
        await admin.query(
          `CREATE TABLE ${schema}.customer (id BIGINT PRIMARY KEY, email VARCHAR(60), name VARCHAR(40), n INT, KEY (email), KEY (name))`,
        )
        // Its own lookup stands beside it, sharded by what it is found by.
        await admin.query(
          `CREATE TABLE ${schema}.parcel (user_id BIGINT NOT NULL, id BIGINT NOT NULL, n INT, PRIMARY KEY (user_id, id), KEY (id))`,
        )
        await admin.query(`CREATE TABLE ${schema}.parcel_idx (id BIGINT PRIMARY KEY, keyspace_id VARBINARY(16))`)
        // Found by what the server makes of another column.
        await admin.query(
          `CREATE TABLE ${schema}.made (id BIGINT PRIMARY KEY, email VARCHAR(60), el VARCHAR(60) AS (LOWER(email)) STORED, KEY (el))`,
        )
        // Found by values that do not tell the shard: its lookup's key has the keyspace id, or has it not.
        for (const table of ['roomy', 'narrow'])
          await admin.query(
            `CREATE TABLE ${schema}.${table} (k BIGINT NOT NULL, id BIGINT NOT NULL, tag INT, PRIMARY KEY (k, id), KEY (tag))`,
          )
      }
      await admin.query('CREATE DATABASE lk CHARACTER SET utf8mb4')
      await admin.query('CREATE TABLE lk.email_idx (email VARCHAR(60) PRIMARY KEY, keyspace_id VARBINARY(16))')
      await admin.query('CREATE TABLE lk.name_idx (name VARCHAR(40), id BIGINT, keyspace_id VARBINARY(16), PRIMARY KEY (name, id))')
      const byTag = (table: string, key: string): Promise<unknown> =>
        admin.query(`CREATE TABLE lk.${table} (tag INT, id BIGINT, keyspace_id VARBINARY(16), PRIMARY KEY (${key}))`)
      await admin.query('CREATE TABLE lk.made_idx (el VARCHAR(60) PRIMARY KEY, keyspace_id VARBINARY(16))')
      await byTag('roomy_idx', 'tag, id, keyspace_id')
      await byTag('narrow_idx', 'tag, id')
      store = new MemoryStore()
      network = await FaultProxy.start({ host: '127.0.0.1', port: server.port })
      await addServer(store, 's1', server.port, flavour)
      await addServer(store, 's2', network.port, flavour)
      await addUser(store, 'app', 'secret')
      await addKeyspace(store, 'lk', [{ name: '-', serverId: 's2', schema: 'lk' }])
      const lookup = (type: string, table: string, from: string, owner: string): object => ({
        type,
        params: { table, from, to: 'keyspace_id' },
        owner,
      })
      const vschema = {
        sharded: true,
        vindexes: {
          hash: { type: 'hash' },
          email: lookup('consistent_lookup_unique', 'lk.email_idx', 'email', 'customer'),
          name: lookup('consistent_lookup', 'lk.name_idx', 'name,id', 'customer'),
          parcel_id: lookup('consistent_lookup_unique', 'parcel_idx', 'id', 'parcel'),
          made_el: lookup('consistent_lookup_unique', 'lk.made_idx', 'el', 'made'),
          roomy_tag: lookup('consistent_lookup', 'lk.roomy_idx', 'tag,id', 'roomy'),
          narrow_tag: lookup('consistent_lookup', 'lk.narrow_idx', 'tag,id', 'narrow'),
        },
        tables: {
          customer: {
            column_vindexes: [
              { column: 'id', name: 'hash' },
              { column: 'email', name: 'email' },
              { columns: ['name', 'id'], name: 'name' },
            ],
          },
          parcel: {
            column_vindexes: [
              { column: 'user_id', name: 'hash' },
              { column: 'id', name: 'parcel_id' },
            ],
          },
          made: {
            column_vindexes: [
              { column: 'id', name: 'hash' },
              { column: 'el', name: 'made_el' },
            ],
          },
          parcel_idx: { column_vindexes: [{ column: 'id', name: 'hash' }] },
          roomy: {
            column_vindexes: [
              { column: 'k', name: 'hash' },
              { columns: ['tag', 'id'], name: 'roomy_tag' },
            ],
          },
          narrow: {
            column_vindexes: [
              { column: 'k', name: 'hash' },
              { columns: ['tag', 'id'], name: 'narrow_tag' },
            ],
          },
        },
      }
      const shards = shardNames.map((name) => ({ name, serverId: 's1', schema: schemaOf(name) }))
      await addKeyspace(store, 'app', shards, { sharded: true, vschema })
      ;({ gate, port } = await startGate(store, { backendConnectionsMax: 60, lookupSweepMs: 2_500 }))
      c = await client()
    })
    after(async () => {
      await c?.close()
      for (const one of [gate, ...others]) await one?.stop()
      await network?.[Symbol.asyncDispose]()
      await admin?.close()
      await server?.[Symbol.asyncDispose]()
    })
    beforeEach(async () => {
      for (const name of shardNames)
        for (const table of ['customer', 'parcel', 'parcel_idx', 'roomy', 'narrow'])
          await admin.query(`DELETE FROM ${schemaOf(name)}.${table}`)
      await admin.query('DELETE FROM lk.email_idx')
      for (const table of ['name_idx', 'roomy_idx', 'narrow_idx']) await admin.query(`DELETE FROM lk.${table}`)
      await c.query(
        "INSERT INTO customer VALUES (1, 'ann@x', 'ann', 1), (2, 'bob@x', 'bob', 2), (3, 'cleo@x', 'ann', 3), (4, NULL, NULL, 4)",
      )
    })

    /** Of a lookup, when all that was left has been swept. */
    const swept = async (sql: string): Promise<string[]> => {
      await gate.core.sweeps.settled()
      return (await admin.allText(sql)).map((row) => row['x'] ?? '')
    }
    const emails = (): Promise<string[]> => swept('SELECT email AS x FROM lk.email_idx ORDER BY 1')
    const names = (): Promise<string[]> => swept('SELECT CONCAT(name, id) AS x FROM lk.name_idx ORDER BY 1')
    const fails = (promise: Promise<unknown>, errno: number | null, text: RegExp): Promise<void> =>
      assert.rejects(promise, (error: { errno?: number; message: string }) => {
        assert.match(error.message, text)
        if (errno !== null) assert.equal(error.errno, errno)
        return true
      })
    /** Promise 10 of this page: every row by its own values, and no row twice. */
    const allFound = async (): Promise<void> => {
      for (const { id, email, name } of await c.allText('SELECT id, email, name FROM customer')) {
        if (email != null) assert.equal(await c.value(`SELECT id FROM customer WHERE email = '${email}'`), id, `email ${email}`)
        if (name != null) assert.equal(await c.value(`SELECT COUNT(*) FROM customer WHERE name = '${name}' AND id = ${id}`), '1')
      }
    }

    test('promise 10: a lookup whose key leaves the keyspace id out loses no row that has the values at another place', async () => {
      const found = async (table: string): Promise<string[]> =>
        (await c.allText(`SELECT k FROM ${table} WHERE tag = 5 ORDER BY k`)).map((row) => row['k'] ?? '')
      for (const table of ['roomy', 'narrow']) await c.query(`INSERT INTO ${table} VALUES (1, 7, 5)`)
      await c.query('UPDATE roomy SET k = 4 WHERE k = 1')
      assert.deepEqual(await found('roomy'), ['4'])
      await c.query('INSERT INTO roomy VALUES (3, 7, 5)')
      assert.deepEqual(await found('roomy'), ['3', '4'])
      const room = /SW-GATE-123.*room for one/s
      await fails(c.query('UPDATE narrow SET k = 4 WHERE k = 1'), null, room)
      await fails(c.query('INSERT INTO narrow VALUES (3, 7, 5)'), null, room)
      await fails(c.query('INSERT INTO narrow VALUES (3, 8, 5), (4, 8, 5)'), null, room)
      await c.query('INSERT INTO narrow VALUES (3, 7, 6)')
      await fails(c.query('UPDATE narrow SET tag = 5 WHERE k = 3'), null, room)
      assert.deepEqual(await found('narrow'), ['1'])
      // What a crash left behind names a place where no such row is.
      await admin.query('DELETE FROM lk.narrow_idx WHERE tag = 6')
      await admin.query('INSERT INTO lk.narrow_idx SELECT 9, 9, keyspace_id FROM lk.narrow_idx WHERE tag = 5')
      await c.query('INSERT INTO narrow VALUES (4, 9, 9)')
      assert.equal(await c.value('SELECT k FROM narrow WHERE tag = 9'), '4')
    })

    test('promise 10: rows are written with their lookups, found by them, and gone with them', async () => {
      assert.deepEqual(await emails(), ['ann@x', 'bob@x', 'cleo@x'])
      assert.deepEqual(await names(), ['ann1', 'ann3', 'bob2'])
      assert.equal(await c.value("SELECT n FROM customer WHERE email = 'BOB@x'"), '2', "by the column's collation")
      assert.deepEqual(
        (await c.allText("SELECT id FROM customer WHERE name = 'ann' ORDER BY id")).map((r) => r['id']),
        ['1', '3'],
      )
      assert.equal(await c.value("SELECT COUNT(*) FROM customer WHERE email IN ('ann@x', 'cleo@x', 'nobody')"), '2')
      assert.equal(await c.value('SELECT COUNT(*) FROM customer WHERE email IS NULL'), '1')
      await c.query("UPDATE customer SET email = 'robert@x', n = 5 WHERE email = 'bob@x'")
      assert.deepEqual(await emails(), ['ann@x', 'cleo@x', 'robert@x'])
      await c.query("UPDATE customer SET name = 'x' WHERE n > 0")
      assert.deepEqual(await names(), ['x1', 'x2', 'x3', 'x4'])
      await c.query('DELETE FROM customer WHERE id = 1')
      await c.query('DELETE FROM customer WHERE n > 2 ORDER BY n DESC LIMIT 1')
      // n is 5 for 2: the row that goes by LIMIT.
      assert.deepEqual(await emails(), ['cleo@x'])
      assert.deepEqual(await names(), ['x3', 'x4'])
      await allFound()
    })

    test('promise 10: the lookup is what routes, and a row of it without a row is harmless', async () => {
      await admin.query("DELETE FROM lk.email_idx WHERE email = 'cleo@x'")
      assert.equal(await c.value("SELECT COUNT(*) FROM customer WHERE email = 'cleo@x'"), '0', 'all shards were asked')
      await admin.query("INSERT INTO lk.email_idx VALUES ('ghost@x', x'ff')")
      assert.equal(await c.value("SELECT COUNT(*) FROM customer WHERE email = 'ghost@x'"), '0')
      await c.query("INSERT INTO customer VALUES (9, 'ghost@x', 'g', 9)")
      assert.equal(await c.value("SELECT id FROM customer WHERE email = 'ghost@x'"), '9', 'the value was taken over')
    })

    test('promise 10: what a server finds depends on an index, or on all of a list: such values are not asked of a lookup', async () => {
      await c.query('INSERT INTO parcel VALUES (1, 1, 1), (4, 2, 2), (3, 9007199254740992, 3), (4, 9007199254740993, 4)')
      const one = await connect(server.config)
      await one.query('CREATE DATABASE beside')
      await one.query('USE beside')
      await one.query('CREATE TABLE parcel (user_id BIGINT NOT NULL, id BIGINT NOT NULL, n INT, PRIMARY KEY (user_id, id), KEY (id))')
      await one.query('CREATE TABLE customer (id BIGINT PRIMARY KEY, email VARCHAR(60), name VARCHAR(40), n INT, KEY (email), KEY (name))')
      for (const name of shardNames)
        for (const table of ['parcel', 'customer']) await one.query(`INSERT INTO ${table} SELECT * FROM ${schemaOf(name)}.${table}`)
      for (const sql of [
        'SELECT n FROM parcel WHERE id = 1.5',
        'SELECT n FROM parcel WHERE id IN (1.6)',
        "SELECT n FROM parcel WHERE id = '1.5'",
        'SELECT n FROM parcel WHERE (id, n) IN ((9007199254740993, 3), (1e0, 1)) ORDER BY n',
        'SELECT n FROM parcel WHERE (id, n) IN ((1.5, 2), (2, 9)) ORDER BY n',
        "SELECT id FROM customer WHERE (email, n) IN (('ann@x', 3), (5, 7)) ORDER BY id",
        "SELECT id FROM customer WHERE (email, n) IN ((5, 7), ('ann@x', 3)) ORDER BY id",
      ]) {
        const asked = async (on: Connection): Promise<string[]> => (await on.allText(sql)).map((row) => Object.values(row).join())
        assert.deepEqual(await asked(c), await asked(one), sql)
      }
      await one.query('DROP DATABASE beside')
      await one.close()
    })

    test('promise 10: a variable that no literal tells is asked of all shards, not of the lookup', async () => {
      await c.query('INSERT INTO roomy (k, id, tag) VALUES (901, 1, 777), (904, 1, 777)')
      for (const on of [c, admin]) await on.query('SET @v = 777.4e0')
      const asked = 'SELECT COUNT(*) FROM HERE WHERE tag = @v'
      let expected = 0
      for (const name of shardNames) expected += Number(await admin.value(asked.replace('HERE', `${schemaOf(name)}.roomy`)))
      assert.equal(Number(await c.value(asked.replace('HERE', 'roomy'))), expected)
      assert.equal(expected, 2, 'both cut the fraction where they look by an index')
      await c.query('SET @v = NULL')
      await c.query('DELETE FROM roomy WHERE tag = 777')
    })

    test('promise 10: a text of another character set or collation is found by a lookup column', async () => {
      const id = 'SELECT id FROM customer WHERE email = @e'
      await c.query("INSERT INTO customer VALUES (41, 'né@x', 'n', 41), (42, 'plain@x', 'p', 42)")
      for (const expression of ["CONVERT('né@x' USING latin1)", "_latin1 x'6ee94078' COLLATE latin1_swedish_ci", "'NÉ@x'"]) {
        await c.query(`SET @e = ${expression}`)
        for (const names of ['utf8mb4', 'utf8mb4 COLLATE utf8mb4_bin', 'latin1', 'utf8mb4']) {
          await c.query(`SET NAMES ${names}`)
          assert.equal(await c.value(id), '41', `${expression}, ${names}`)
        }
      }
      await c.query('SET NAMES latin1')
      await c.query(Buffer.from("SET @e = 'n\xe9@x'", 'latin1'))
      await c.query('SET NAMES utf8mb4')
      assert.equal(await c.value(id), '41')
      await c.query('SET character_set_results = latin1')
      await c.query('SET @e = (SELECT email FROM customer WHERE id = 41)')
      assert.equal(await c.value(id), '41')
      await c.query('UPDATE customer SET n = 43 WHERE email = @e')
      assert.equal(await c.value('SELECT n FROM customer WHERE id = 41'), '43')
      await c.query("SET NAMES utf8mb4, @e = 'plain@x'")
      await c.query('SET NAMES utf8mb4 COLLATE utf8mb4_bin')
      assert.equal(await c.value(id), '42')
      // The lookup is asked, as its column compares.
      await admin.query("DELETE FROM lk.email_idx WHERE email = 'plain@x'")
      assert.equal(await c.value(id.replace('id', 'COUNT(*)')), '0', 'all shards were asked')
      await c.query('SET NAMES utf8mb4')
      await c.query('DELETE FROM customer WHERE id IN (41, 42)')
    })

    test('promise 1: under any character set of results a lookup loses what its row had', async () => {
      await c.query("INSERT INTO customer VALUES (51, 'ш@x', 'n', 51), (52, '😀@x', 'p', 52)")
      await c.query('SET character_set_results = latin1')
      await c.query("UPDATE customer SET email = 'sh@x' WHERE id = 51")
      await c.query('SET NAMES utf8mb3')
      await c.query('DELETE FROM customer WHERE id = 52')
      await c.query('SET NAMES utf8mb4')
      assert.deepEqual(await emails(), ['ann@x', 'bob@x', 'cleo@x', 'sh@x'])
      await c.query('DELETE FROM customer WHERE id = 51')
    })

    test('a unique lookup refuses a value that stands on another shard, within a statement too', async () => {
      await fails(c.query("INSERT INTO customer VALUES (5, 'bob@x', 'z', 0)"), 1062, /Duplicate entry 'bob@x' for key 'email'/)
      await fails(c.query("INSERT INTO customer VALUES (5, 'e@x', 'z', 0), (6, 'E@x', 'z', 0)"), 1062, /Duplicate entry/)
      await fails(c.query("UPDATE customer SET email = 'bob@x' WHERE id = 3"), 1062, /Duplicate entry/)
      assert.equal(await c.value('SELECT COUNT(*) FROM customer'), '4')
      assert.deepEqual(await emails(), ['ann@x', 'bob@x', 'cleo@x'], 'nothing is left of what failed')
    })

    test('promise 1: transactions: own rows are found; ROLLBACK leaves no lookup; a value moved between shards in one is refused', async () => {
      await c.query('BEGIN')
      await c.query("INSERT INTO customer VALUES (11, 'k@x', 'k', 0), (12, 'l@x', 'l', 0)")
      assert.equal(await c.value("SELECT id FROM customer WHERE email = 'l@x'"), '12')
      await c.query("DELETE FROM customer WHERE email = 'ann@x'")
      assert.equal(await c.value("SELECT COUNT(*) FROM customer WHERE email = 'ann@x'"), '0')
      const other = await client()
      assert.equal(await other.value("SELECT id FROM customer WHERE email = 'ann@x'"), '1', 'for others it is there until the commit')
      await fails(c.query("INSERT INTO customer VALUES (4711, 'ann@x', 'k', 0)"), null, /SW-GATE-213/)
      await c.query('ROLLBACK')
      assert.deepEqual(await emails(), ['ann@x', 'bob@x', 'cleo@x'])
      assert.equal(await other.value("SELECT id FROM customer WHERE email = 'ann@x'"), '1')
      await other.query('BEGIN')
      assert.equal(await other.value('SELECT email FROM customer WHERE id = 1'), 'ann@x')
      await c.query('DELETE FROM customer WHERE id = 1')
      assert.equal(
        await other.value("SELECT id FROM customer WHERE email = 'ann@x'"),
        '1',
        'its snapshot has the row that the lookup has lost',
      )
      await other.query('COMMIT')
      await other.close()
    })

    test('INSERT … SELECT, prepared statements, joins and lookups in the keyspace itself', async () => {
      await c.query("INSERT INTO customer (id, email, name, n) SELECT id + 100, CONCAT('copy', id), name, n FROM customer WHERE id < 4")
      assert.equal((await emails()).length, 6)
      await c.query('INSERT INTO parcel VALUES (1, 501, 1), (2, 502, 2), (3, 503, 3)')
      assert.equal(await c.value('SELECT user_id FROM parcel WHERE id = 502'), '2')
      assert.equal(await c.value('SELECT c.email FROM parcel p JOIN customer c ON c.id = p.user_id WHERE p.id = 503'), 'cleo@x')
      await fails(c.query('INSERT INTO parcel VALUES (9, 501, 1)'), 1062, /501/)
      await c.query('DELETE p FROM parcel p JOIN customer c ON c.n = p.n WHERE c.id = 2')
      await gate.core.sweeps.settled()
      assert.equal(await c.value('SELECT COUNT(*) FROM parcel_idx'), '2')
      await fails(c.query("REPLACE INTO customer VALUES (1, 'q@x', 'q', 1)"), null, /SW-GATE-100/)
      await allFound()
    })

    test('UPDATE and DELETE by rows of other tables of their shards: each row once, and none that an outer join does not find', async () => {
      await c.query('INSERT INTO parcel VALUES (1, 501, 1), (1, 504, 4), (1, 505, 5), (2, 502, 2), (3, 503, 3)')
      const changed = async (sql: string): Promise<string> => {
        const result = await c.query(sql)
        return result.kind === 'ok' ? `${result.affectedRows} ${result.info}` : ''
      }
      const three = '3 Rows matched: 3  Changed: 3  Warnings: 0'
      assert.equal(await changed("UPDATE customer c JOIN parcel p ON p.user_id = c.id SET c.name = 'zoe' WHERE p.n > 1 OR p.n = 9"), three)
      assert.deepEqual(await names(), ['zoe1', 'zoe2', 'zoe3'])
      await changed("UPDATE parcel p LEFT JOIN customer c ON c.id = p.user_id AND c.n = 3 SET c.email = 'new@x'")
      assert.deepEqual(await emails(), ['ann@x', 'bob@x', 'new@x'])
      assert.equal(await changed('DELETE c FROM customer c LEFT JOIN parcel p ON p.user_id = c.id WHERE p.n IS NULL OR p.n = 2'), '2 ')
      assert.deepEqual(
        [await emails(), await names()],
        [
          ['ann@x', 'new@x'],
          ['zoe1', 'zoe3'],
        ],
      )
      assert.equal(await changed('DELETE p FROM parcel p JOIN customer c ON c.id = p.user_id WHERE p.n < c.n + 4'), '3 ')
      await gate.core.sweeps.settled()
      assert.equal(await c.value('SELECT COUNT(*) FROM parcel_idx'), '2')
      await fails(
        c.query("UPDATE customer SET name = 'x' WHERE EXISTS (SELECT 1 FROM parcel p WHERE p.user_id = customer.id)"),
        null,
        /SW-GATE-100/,
      )
      await allFound()
    })

    test('promise 8: a write that changes more than may be held of it for its lookups is refused, and nothing of it stands', async () => {
      const small = await startGate(store, { scatterBytesMax: 20_000 }, undefined, 'gate-small')
      others.push(small.gate)
      const own = await connect({ host: '127.0.0.1', port: small.port, user: 'app', password: 'secret', database: 'app' })
      const rows = Array.from({ length: 100 }, (_, i) => `(${i + 1000}, 'mail${i}@x', 'many', 0)`)
      await c.query(`INSERT INTO customer VALUES ${rows.join(', ')}`)
      for (const sql of ["UPDATE customer SET name = 'less' WHERE id > 999", 'DELETE FROM customer WHERE id > 999'])
        await fails(own.query(sql), null, /SW-GATE-205/)
      await own.query("UPDATE customer SET name = 'less' WHERE id BETWEEN 1000 AND 1003")
      assert.equal(await c.value("SELECT COUNT(*) FROM customer WHERE name = 'many'"), '96')
      assert.equal(await c.value('SELECT COUNT(*) FROM customer WHERE id > 999'), '100')
      await own.close()
    })

    test('what somebody has locked for a moment is swept when it is free', async () => {
      const holder = await connect(server.config)
      await holder.query('BEGIN')
      await holder.query("SELECT * FROM lk.name_idx WHERE name = 'ann' FOR UPDATE")
      await c.query('DELETE FROM customer WHERE id = 1')
      await new Promise((resolve) => setTimeout(resolve, 100))
      await holder.query('COMMIT')
      await holder.close()
      assert.deepEqual(await names(), ['ann3', 'bob2'])
    })

    test("what is left in a lookup is swept after the client has its answer: a lookup's server that does not answer holds up no COMMIT", async () => {
      const own = await client()
      await own.query('BEGIN')
      await own.query("DELETE FROM customer WHERE email = 'bob@x'")
      network.blackhole()
      const commit = own.query('COMMIT')
      const answered = await Promise.race([commit.then(() => true), new Promise((resolve) => setTimeout(() => resolve(false), 1_500))])
      network.heal('resume')
      await commit
      assert.ok(answered, 'the COMMIT waited')
      assert.deepEqual(await emails(), ['ann@x', 'cleo@x'])
      await own.close()
    })

    test('a row that stands is swept by nobody, who would lock it against the next statement; what is rolled back is', async () => {
      const { sweeps } = gate.core
      await sweeps.settled()
      let swept = 0
      const add = sweeps.add.bind(sweeps)
      sweeps.add = (keyspace, entries) => {
        swept += entries.length
        add(keyspace, entries)
      }
      await c.query("INSERT INTO customer VALUES (20, 'new@x', 'new', 1)")
      assert.equal(swept, 0)
      await c.query('SELECT n FROM customer WHERE id = 20 FOR UPDATE NOWAIT')
      await c.query('BEGIN')
      await c.query("INSERT INTO customer VALUES (21, 'gone@x', 'gone', 1)")
      await c.query('ROLLBACK')
      assert.ok(swept > 0)
      sweeps.add = add
      await c.query("INSERT IGNORE INTO parcel_idx VALUES (1, x'00')")
      assert.deepEqual(await emails(), ['ann@x', 'bob@x', 'cleo@x', 'new@x'])
      await c.query("UPDATE customer SET name = 'other' WHERE id = 20")
      assert.deepEqual(await names(), ['ann1', 'ann3', 'bob2', 'other20'])
    })

    test("promise 8: sweeps of a lookup's server that does not answer end, and others go on", async () => {
      network.blackhole()
      const startedMs = Date.now()
      for (const id of [1, 2, 3]) await c.query(`DELETE FROM customer WHERE id = ${id}`)
      await gate.core.sweeps.settled()
      network.heal('resume')
      assert.ok(Date.now() - startedMs < 20_000, 'they did not end')
      assert.equal(gate.core.sweeps.count, 0)
    })

    test('a lookup over a column that the server makes is not read, and a table that owns it is not inserted into', async () => {
      const shard = shardNames.find((name) => name === '-40') as string
      await admin.query(`INSERT INTO ${schemaOf(shard)}.made (id, email) VALUES (1, 'A@x')`)
      assert.deepEqual(await c.allText("SELECT email FROM made WHERE el = 'a@x'"), [{ email: 'A@x' }])
      await fails(c.query("INSERT INTO made (id, email) VALUES (2, 'B@x')"), null, /SW-GATE-123.*makes column el/s)
    })

    test('DDL of a table of an unsharded keyspace is told to all gates: a lookup may stand there', async () => {
      const told = async (): Promise<bigint | number | undefined> => (await store.get(keys.ddl('lk')))?.version
      const before = await told()
      await c.query('CREATE TABLE lk.beside (id INT)')
      await c.query('DROP TABLE lk.beside')
      assert.notEqual(await told(), before)
    })

    test('KILL QUERY reaches a change that still reads its rows for the lookups', async () => {
      const holder = await connect(server.config)
      await holder.query('BEGIN')
      for (const name of shardNames) await holder.query(`SELECT * FROM ${schemaOf(name)}.customer FOR UPDATE`)
      const own = await client()
      const id = await own.value('SELECT CONNECTION_ID()')
      const changed = own.query("UPDATE customer SET name = 'all'").then(String, String)
      const waits = "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'SELECT %FOR UPDATE' AND user = 'sw_gate'"
      await until('it waits for the rows', async () => (await admin.value(waits)) !== '0')
      await c.query(`KILL QUERY ${id}`)
      assert.match(await changed, /1317|interrupted|SW-GATE-/)
      await holder.query('ROLLBACK')
      await holder.close()
      await own.close()
      assert.equal(await c.value("SELECT COUNT(*) FROM customer WHERE name = 'all'"), '0')
    })

    test('VEXPLAIN tells the steps without taking them', async () => {
      const steps = async (sql: string): Promise<string[]> =>
        (await c.allText(`VEXPLAIN ${sql}`)).map((row) => `${row['what']} [${row['shards']}] ${row['text']}`)
      assert.deepEqual(await steps('SELECT n FROM customer WHERE id = 3'), ['send as it is [40-80] SELECT n FROM customer WHERE id = 3'])
      assert.deepEqual(await steps("SELECT n FROM customer WHERE email = 'x'"), [
        'ask lookup vindex [] email: lk.email_idx by email',
        "send to each and pass on one after the other [all 4] SELECT n FROM customer WHERE email = 'x'",
        'note [] each shard is read at an instant of its own: what is written meanwhile may be seen on one and not on another. In a transaction WITH CONSISTENT SNAPSHOT, or REPEATABLE READ, each shard stays at its own',
      ])
      const gathered = await steps('PLAN SELECT COUNT(*) FROM customer a JOIN parcel p ON p.n = a.n WHERE a.n > 1')
      assert.equal(gathered.length, 4)
      assert.match(gathered.join('\n'), /fetch rows \[all 4\] customer \(id, n\) WHERE a.n > 1/)
      assert.match(gathered.at(-2) ?? '', /run over them at one place \[any\] SELECT COUNT/)
      await steps("INSERT INTO customer VALUES (77, 'v@x', 'v', 1)")
      assert.equal(await c.value('SELECT COUNT(*) FROM customer WHERE id = 77'), '0')
    })

    test('promise 1: writers that race and connections that are cut leave no row without its lookup', async () => {
      const startedMs = Date.now()
      let done = 0
      // On a busy machine it takes longer to have done something.
      const goesOn = (): boolean => Date.now() < startedMs + 2500 || (done <= 20 && Date.now() < startedMs + 60_000)
      const writer = async (no: number): Promise<void> => {
        let own = await client()
        for (let i = 0; goesOn(); i++) {
          const [id, mail] = [1 + ((no * 7 + i * 3) % 12), `m${(no + i) % 9}@x`]
          try {
            const kind = i % 5
            if (kind === 4) await own.query('BEGIN')
            if (kind < 2) await own.query(`INSERT INTO customer VALUES (${id}, '${mail}', 'n${i % 3}', ${i})`)
            else if (kind === 2) await own.query(`UPDATE customer SET email = '${mail}', name = 'n${i % 3}' WHERE id = ${id}`)
            else await own.query(`DELETE FROM customer WHERE ${i % 2 === 0 ? `id = ${id}` : `email = '${mail}'`}`)
            if (kind === 4) await own.query(i % 2 === 0 ? 'ROLLBACK' : 'COMMIT')
            done++
          } catch {
            if (!own.open) own = await client()
            else await own.query('ROLLBACK').catch(() => {})
          }
        }
        await own.close().catch(() => {})
      }
      const cutter = async (): Promise<void> => {
        while (goesOn()) {
          const ids = await admin.allText(
            "SELECT ID AS id FROM information_schema.PROCESSLIST WHERE USER = 'sw_gate' AND COMMAND = 'Sleep'",
          )
          const one = ids[Math.floor(Math.random() * ids.length)]?.['id']
          if (one != null) await admin.query(`KILL ${one}`).catch(() => {})
          await new Promise((resolve) => setTimeout(resolve, 60))
        }
      }
      await Promise.all([...Array.from({ length: 6 }, (_, no) => writer(no)), cutter()])
      assert.ok(done > 20, `${done} writes`)
      if (!c.open) c = await client()
      await allFound()
    })
  })
}
