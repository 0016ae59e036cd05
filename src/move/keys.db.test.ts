/** PROTOCOLS 1.12: secondary keys of every kind wait for the rows and are built once, but those that a foreign key needs (docs/decisions/032); a rebuild that is killed goes on. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { until } from '../../test/kit/until.ts'
import { flavours } from '../../test/kit/servers.ts'
import { keysOf } from '../sql/table-edits.ts'
import { parseTableDefinition } from '../sql/table-definition.ts'
import { connect } from '../mysql/connect.ts'
import { showCreateTable } from './made-of.ts'
import { rebuildKeys } from './schema-copy.ts'
import { ensureMoveTables } from './tables.ts'
import { itemTable, World } from './testkit/world.ts'

const tables = [
  {
    name: 'child',
    shardKey: 'owner',
    ddl: 'CREATE TABLE child (id INT NOT NULL PRIMARY KEY, owner INT NOT NULL, code INT NOT NULL, KEY code (code), KEY o (owner), CONSTRAINT fk FOREIGN KEY (code) REFERENCES parent (code))',
  },
  {
    name: 'item',
    shardKey: 'owner',
    ddl: `CREATE TABLE item (id INT NOT NULL PRIMARY KEY, owner INT NOT NULL, u INT NULL, w VARCHAR(20) NOT NULL, t TEXT NOT NULL, t2 TEXT NOT NULL, g GEOMETRY NOT NULL,
      UNIQUE KEY u (u), UNIQUE KEY both_of (w, owner), KEY w (w), FULLTEXT KEY t (t), FULLTEXT KEY t2 (t2), SPATIAL KEY g (g)) DEFAULT CHARSET=utf8mb4`,
  },
  {
    name: 'parent',
    shardKey: 'owner',
    ddl: 'CREATE TABLE parent (id INT NOT NULL PRIMARY KEY, owner INT NOT NULL, code INT NOT NULL, UNIQUE KEY code (code))',
  },
]

for (const flavour of flavours()) {
  test(`1.12 on ${flavour}: unique, fulltext and spatial keys wait for the rows and are built once, killed in the rebuild too; what foreign keys need stands from the start`, async () => {
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-'], tables: [] })
    const schema = world.sourceRefs[0]!.schema
    const to = world.targetRefs[0]!.schema
    world.tables.push(...tables)
    for (const { ddl } of [tables[2]!, tables[0]!, tables[1]!]) await world.s.query(ddl)
    const ids = Array.from({ length: 1500 }, (_, i) => i)
    await world.s.query(`INSERT INTO parent VALUES ${ids.map((i) => `(${i},${i},${i})`).join()}`)
    await world.s.query(`INSERT INTO child VALUES ${ids.map((i) => `(${i},${i},${(i * 7) % 1500})`).join()}`)
    await world.s.query(
      `INSERT INTO item VALUES ${ids.map((i) => `(${i},${i},${i % 3 === 0 ? 'NULL' : i},'w${i}','some words ${i}','other words',POINT(${i},1))`).join()}`,
    )
    const record = world.record(0)
    let killed = 0
    let built = 0
    let bareOfUnique = false
    let withoutForeign = 0
    let stop = false
    // Somebody reads the table until an ALTER waits for it: however quick a build is, one is there to be killed.
    await using reader = await connect(world.target.config)
    let reads = false
    const killer = (async () => {
      while (!stop) {
        if (!reads && killed === 0) {
          await reader.query('BEGIN')
          reads = await reader.query(`SELECT 1 FROM ${to}.item LIMIT 1`).then(
            () => true,
            () => false,
          )
        }
        if (reads && killed > 0) {
          await reader.query('COMMIT')
          reads = false
        }
        // MySQL fails this while somebody's statement carries bytes that are no text: then it is asked again.
        const rows = await world.t
          .allText(
            "SELECT ID AS id FROM information_schema.PROCESSLIST WHERE STATE LIKE '%alter%' OR STATE LIKE 'copy to tmp%' OR STATE LIKE '%table metadata lock%'",
          )
          .catch(() => [])
        for (const { id } of rows) {
          built++
          if (killed < 2) {
            killed++
            await world.t.query(`KILL ${id}`).catch(() => undefined)
          }
        }
        const there = await world.t.allText(
          `SELECT COUNT(*) AS n, SUM(NON_UNIQUE = 0 AND INDEX_NAME <> 'PRIMARY') AS u FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = '${to}' AND TABLE_NAME = 'item'`,
        )
        if (Number(there[0]?.n) > 0 && Number(there[0]?.u) === 0) bareOfUnique = true
        const made = await world.t.allText(
          `SELECT 1 FROM information_schema.TABLES t LEFT JOIN information_schema.REFERENTIAL_CONSTRAINTS r ON r.CONSTRAINT_SCHEMA = t.TABLE_SCHEMA AND r.TABLE_NAME = t.TABLE_NAME
            WHERE t.TABLE_SCHEMA = '${to}' AND t.TABLE_NAME = 'child' AND r.CONSTRAINT_NAME IS NULL`,
        )
        withoutForeign += made.length
      }
    })()
    // Unique values change hands meanwhile, in one transaction and between transactions.
    const writer = (async () => {
      for (let n = 0; !stop; n++) {
        const [a, b] = [(n * 7) % 1500, (n * 11 + 3) % 1500]
        if (a === b) continue
        await world.s.query('BEGIN')
        await world.s.query(`UPDATE item SET u = NULL WHERE id IN (${a}, ${b})`)
        await world.s.query(
          `UPDATE item SET u = ${n % 2 === 0 ? b : 10_000 + n} WHERE id = ${a} AND NOT EXISTS (SELECT 1 FROM (SELECT u FROM item WHERE u = ${b}) x)`,
        )
        await world.s.query('COMMIT')
      }
    })()
    const running = world.start(record)
    await world.untilRunning(record.uid)
    stop = true
    await Promise.all([killer, writer])
    await world.drain(record.uid)
    await world.assertEqual()
    assert.ok(bareOfUnique, 'the unique keys were not there while rows were copied')
    assert.equal(withoutForeign, 0, 'the table was never without its foreign key')
    assert.ok(built > 0 && killed > 0, `a rebuild was seen ${built} times, and killed ${killed} times`)
    for (const { name } of tables) {
      const [here, there] = await Promise.all([showCreateTable(world.s, schema, name), showCreateTable(world.t, to, name)])
      const names = (text: string): string[] =>
        keysOf(parseTableDefinition(text))
          .map(({ text: key }) => key)
          .sort()
      assert.deepEqual(names(there), names(here), name)
      assert.equal(/FOREIGN KEY/.test(there), /FOREIGN KEY/.test(here))
    }
    await running.stop()
  })
}

for (const flavour of flavours()) {
  test(`1.12 on ${flavour}: an ALTER of an earlier run that the server still executes is waited for, and what it leaves is built`, async () => {
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-'], tables: [] })
    const to = world.targetRefs[0]!.schema
    await world.t.query(`CREATE TABLE ${to}.item (id INT NOT NULL PRIMARY KEY, a INT NOT NULL, b INT NOT NULL)`)
    await ensureMoveTables(world.t)
    const clauses = JSON.stringify(['KEY `a` (`a`)', 'UNIQUE KEY `b` (`b`)'])
    await world.t.query(`INSERT INTO _shardwright.move_key VALUES ('uid', 'item', 'w', '${clauses}')`)
    // Both wait for a reader, one behind the other: neither has seen what the other builds.
    await using reader = await connect(world.target.config)
    await reader.query('BEGIN')
    await reader.query(`SELECT * FROM ${to}.item`)
    await using earlier = await connect(world.target.config)
    await using later = await connect(world.target.config)
    const waiting = async (n: number): Promise<void> => {
      const sql = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE LIKE 'Waiting for table metadata lock%'"
      await until(`${n} that wait`, async () => Number(await world.t.value(sql)) >= n, 20_000)
    }
    const altered = earlier.query(`ALTER TABLE ${to}.item ADD KEY a (a)`)
    await waiting(1)
    const built = rebuildKeys(later, to, 'uid')
    await waiting(2)
    await reader.query('COMMIT')
    await altered
    assert.equal(await built, null)
    const text = await showCreateTable(world.t, to, 'item')
    assert.match(text, /UNIQUE KEY `b`/)
    assert.equal(await world.t.value('SELECT COUNT(*) FROM _shardwright.move_key'), '0')
  })
}

for (const flavour of flavours()) {
  test(`1.11 on ${flavour}: rows whose other row of a foreign key went to another shard stop the copy at its end, by name; what does not hold on the source either passes`, async () => {
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'], tables: [] })
    world.tables.push(tables[2]!, tables[0]!)
    for (const { ddl } of world.tables) await world.s.query(ddl)
    const ids = Array.from({ length: 100 }, (_, i) => i)
    await world.s.query(`INSERT INTO parent VALUES ${ids.map((i) => `(${i},${i},${i})`).join()}`)
    await world.s.query(`INSERT INTO child VALUES ${ids.map((i) => `(${i},${i},${i})`).join()}`)
    await world.s.query('SET foreign_key_checks=0')
    await world.s.query('INSERT INTO child VALUES (500, 1, 9999)')
    await world.s.query('SET foreign_key_checks=1')
    // 1 and 2 lie in the lower half by the hash vindex, 4 in the upper.
    await world.s.query('UPDATE child SET code = 4 WHERE id IN (1, 2)')
    const record = world.record(0)
    world.start(record)
    await world.until('end of the copy', () => ['failed', 'running'].includes(world.state(record.uid) ?? ''))
    const { state, error } = world.reports.get(record.uid)!
    assert.deepEqual([state, error?.code], ['failed', 'SW-MOVE-036'], error?.what)
    assert.match(error?.what ?? '', /child .* fk .*parent .*: 1, 2$/)
    world.reports.delete(record.uid)
    await world.s.query('UPDATE child SET code = id WHERE id IN (1, 2)')
    const again = world.start(record)
    await world.untilRunning(record.uid)
    await world.drain(record.uid)
    assert.equal(await world.assertEqual(), 201)
    await again.stop()
  })
}

for (const flavour of flavours()) {
  test(`1.11 on ${flavour}: foreign keys are looked through while rounds go on, which is told; text keys and keys of several columns are found and looked at again by what they are`, async () => {
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'], tables: [] })
    const child = {
      name: 'child',
      shardKey: 'owner',
      ddl: `CREATE TABLE child (a VARCHAR(20) CHARACTER SET latin1 NOT NULL, e ENUM('x','y') NOT NULL, b VARBINARY(4) NOT NULL, owner INT NOT NULL, code INT NOT NULL, PRIMARY KEY (a, e, b), KEY code (code),
        CONSTRAINT fk FOREIGN KEY (code) REFERENCES parent (code))`,
    }
    const parent = tables[2]!
    world.tables.push(parent, child, itemTable)
    for (const { ddl } of world.tables) await world.s.query(ddl)
    const ids = Array.from({ length: 2_500 }, (_, i) => i)
    await world.s.query(`INSERT INTO parent VALUES ${ids.map((i) => `(${i},${i},${i})`).join()}`)
    await world.s.query(`INSERT INTO child VALUES ${ids.map((i) => `('Zoë ${i}','y',x'ff00',${i},${i})`).join()}`)
    // 1 and 2 lie in the lower half by the hash vindex, 4 in the upper.
    await world.s.query('UPDATE child SET code = 4 WHERE code IN (1, 2)')
    let copied = (): void => undefined
    const begin = new Promise<void>((resolve) => (copied = resolve))
    const record = world.record(0)
    const running = world.start(record, { failpoints: { hit: (at) => (at === 'copy.beforeKeys' ? begin : undefined) } })
    await world.until('the end of the copy', () => running.stream.report().copy.rowsDone >= 5_000)
    // The look waits as long as it takes with a large table; what is written meanwhile does not.
    await using locks = await connect(world.target.config)
    const [to] = world.targetRefs
    await locks.query(`LOCK TABLES ${to!.schema}.parent WRITE, ${to!.schema}.child WRITE`)
    copied()
    await world.until('a look', () =>
      /foreign keys of app\/-80.* what comes meanwhile is applied/.test(running.stream.report().waiting?.what ?? ''),
    )
    await until('the look to wait', async () => {
      const sessions = await world.t.allText('SHOW PROCESSLIST')
      return sessions.some(({ State, Info }) => /^Waiting for table.*lock$/.test(State ?? '') && /LEFT JOIN/.test(Info ?? ''))
    })
    await world.s.query("INSERT INTO item VALUES (1, 1, NULL, 'in the lower half', 1)")
    await world.drain(record.uid)
    assert.equal(running.stream.report().state, 'copying')
    await locks.query('UNLOCK TABLES')
    await world.until('end of the copy', () => ['failed', 'running'].includes(world.state(record.uid) ?? ''))
    const { state, error } = world.reports.get(record.uid)!
    assert.deepEqual([state, error?.code], ['failed', 'SW-MOVE-036'], error?.what)
    assert.match(error?.what ?? '', /child .* fk .*parent .*not there: x'[0-9a-f]+', x'[0-9a-f]+'$/)
    await world.s.query('UPDATE child SET code = owner WHERE owner IN (1, 2)')
    world.reports.delete(record.uid)
    const again = world.start(record)
    await world.untilRunning(record.uid)
    await world.drain(record.uid)
    assert.equal(await world.assertEqual(), 5_001)
    await again.stop()
  })
}
