/** Promise 10: triggers whose work is that of one server only are refused, with the statements that would fire them; the others do their work. */
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import { besideOne, gateOnServer, type BesideOne, type GateOnServer } from './testkit/gate-on-server.ts'

for (const flavour of flavours()) {
  describe(flavour, () => {
    let world: GateOnServer
    let sides: BesideOne

    before(async () => {
      world = await gateOnServer({
        flavour,
        keyspaces: { one: 'one', shop: { users: 'by id', audit: 'by id', places: 'reference', shops: 'by id' } },
        tables: [
          'users (id BIGINT PRIMARY KEY, email VARCHAR(50), n INT)',
          'audit (id BIGINT PRIMARY KEY, what VARCHAR(20))',
          'places (code BIGINT PRIMARY KEY, name VARCHAR(40), other BIGINT UNIQUE)',
          'shops (id BIGINT PRIMARY KEY, place BIGINT, FOREIGN KEY (id) REFERENCES places (code) ON UPDATE CASCADE, FOREIGN KEY (place) REFERENCES places (other) ON UPDATE CASCADE ON DELETE SET NULL)',
        ],
        settings: { log_bin_trust_function_creators: 1 },
      })
      sides = await besideOne(world)
      await sides.one.query('CREATE FUNCTION counted() RETURNS INT READS SQL DATA RETURN (SELECT COUNT(*) FROM users)')
      for (const schema of world.schemas.filter((name) => name !== 'one'))
        await world.admin.query(`CREATE FUNCTION ${schema}.counted() RETURNS INT READS SQL DATA RETURN (SELECT COUNT(*) FROM users)`)
    })
    beforeEach(async () => {
      for (const sql of ['DELETE FROM users', 'DELETE FROM audit', 'DELETE FROM places'])
        for (const side of [sides.c, sides.one]) await side.query(sql)
    })
    after(async () => {
      await sides.close()
      await world.stop()
    })

    /** Past the gate, which learns of it by DDL of another name. */
    const made = async (sql: string): Promise<void> => {
      for (const schema of world.schemas) {
        await world.admin.query(`USE ${schema}`)
        await world.admin.query(sql)
      }
      await sides.c.query('CREATE INDEX told ON users (n)')
      await sides.c.query('DROP INDEX told ON users')
    }

    const insert = "INSERT INTO users (id, email, n) VALUES (1, 'A', 1), (2, 'B', 2), (3, 'C', 3), (4, 'D', 4)"
    const harmful: readonly (readonly [string, readonly string[], readonly string[]])[] = [
      // What is refused, what is not.
      [
        'AFTER INSERT ON users FOR EACH ROW INSERT INTO audit VALUES (NEW.id + 1000, 0)',
        [insert, 'INSERT INTO users (id) VALUES (9)', 'REPLACE INTO users (id) VALUES (9)', 'INSERT INTO users (id) SELECT id FROM audit'],
        ['UPDATE users SET n = 2', 'DELETE FROM users'],
      ],
      ['BEFORE INSERT ON users FOR EACH ROW SET NEW.id = NEW.id + 1', ['INSERT INTO users (id) VALUES (9)'], ['UPDATE users SET n = 2']],
      ['BEFORE INSERT ON users FOR EACH ROW SET NEW.n = (SELECT COUNT(*) FROM users u)', ['INSERT INTO users (id) VALUES (9)'], []],
      ['BEFORE INSERT ON users FOR EACH ROW SET NEW.n = counted()', ['INSERT INTO users (id) VALUES (9)'], []],
      ['BEFORE INSERT ON users FOR EACH ROW SET NEW.email = @who', ['INSERT INTO users (id) VALUES (9)'], []],
      [
        'BEFORE UPDATE ON users FOR EACH ROW SET NEW.email = USER()',
        [
          'UPDATE users SET n = 1',
          'UPDATE users SET n = 1 WHERE id = 1',
          'INSERT INTO users (id) VALUES (9) ON DUPLICATE KEY UPDATE n = 1',
        ],
        [insert, 'DELETE FROM users'],
      ],
      [
        'AFTER DELETE ON users FOR EACH ROW BEGIN DELETE FROM audit; END',
        ['DELETE FROM users', 'REPLACE INTO users (id) VALUES (9)'],
        ['UPDATE users SET n = 3', insert],
      ],
      ['BEFORE INSERT ON places FOR EACH ROW SET NEW.name = UUID()', ["INSERT INTO places (code, name) VALUES (1, 'x')"], [insert]],
    ]
    for (const [trigger, refused, taken] of harmful)
      test(`promise 10: ${trigger}`, async () => {
        await made(`CREATE TRIGGER tr ${trigger}`)
        try {
          for (const sql of refused) assert.equal(await sides.code(sql), 'SW-GATE-125', sql)
          for (const sql of taken) assert.equal(await sides.code(sql), 'done', sql)
        } finally {
          await made('DROP TRIGGER tr')
        }
        for (const sql of refused) assert.equal(await sides.code(sql), 'done', sql)
        if (!trigger.includes('places')) assert.equal(await sides.code(`CREATE TRIGGER tr ${trigger}`), 'SW-GATE-125')
      })

    test('harmless triggers are made through the gate, and do their work', async () => {
      const trigger =
        "CREATE TRIGGER low BEFORE INSERT ON users FOR EACH ROW BEGIN SET NEW.email = LOWER(NEW.email); IF NEW.n > 90 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'INSERT no more'; END IF; END"
      for (const side of [sides.c, sides.one]) await side.query(trigger)
      await sides.alike(insert)
      assert.equal(await sides.code('INSERT INTO users (id, n) VALUES (7, 91)'), '1644')
      await sides.alike('SELECT * FROM users ORDER BY id')
      for (const side of [sides.c, sides.one]) await side.query('DROP TRIGGER low')
    })

    test('promise 10: what a foreign key would set of a shard key is refused in the table that it follows', async () => {
      await sides.alike('INSERT INTO places VALUES (1, NULL, 11), (2, NULL, 22), (3, NULL, 33)')
      await sides.alike('INSERT INTO shops VALUES (1, 11), (2, 22), (3, 33)')
      for (const sql of [
        'UPDATE places SET code = 7 WHERE code = 1',
        'INSERT INTO places VALUES (1, NULL, 1) ON DUPLICATE KEY UPDATE code = 7',
      ])
        assert.equal(await sides.code(sql), 'SW-GATE-100', sql)
      await sides.alike('UPDATE places SET other = other + 1')
      await sides.alike('SELECT * FROM shops ORDER BY id')
      await sides.alike('DELETE FROM shops')
    })

    test('the triggers of a fence are no trigger to a gate: what it waits for, they say', async () => {
      for (const event of ['INSERT', 'UPDATE', 'DELETE'])
        await made(
          `CREATE TRIGGER _sw_fence_${event.toLowerCase()}_0 BEFORE ${event} ON users FOR EACH ROW BEGIN IF USER() = '' AND (SELECT COUNT(*) FROM places) > 0 THEN SIGNAL SQLSTATE 'HY000'; END IF; END`,
        )
      for (const sql of [insert, 'UPDATE users SET n = 2', 'DELETE FROM users']) assert.equal(await sides.code(sql), 'done', sql)
      for (const event of ['insert', 'update', 'delete']) await made(`DROP TRIGGER _sw_fence_${event}_0`)
    })

    test('an unsharded keyspace takes what its server takes', async () => {
      await using c = await world.session('one')
      await c.query('CREATE TRIGGER kept AFTER INSERT ON users FOR EACH ROW INSERT INTO audit VALUES (NEW.id + 1000, NULL)')
      await c.query('INSERT INTO users (id) VALUES (5)')
      assert.equal(await c.value('SELECT COUNT(*) FROM audit WHERE id = 1005'), '1')
      await c.query('DROP TRIGGER kept')
    })
  })
}
