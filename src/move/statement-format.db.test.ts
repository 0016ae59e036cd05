/** PROTOCOLS 1.10: a statement in the place of rows stops the stream, whichever table it names, with its coordinates and the way out. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connect } from '../mysql/connect.ts'
import { flavours, sharedServer } from '../../test/kit/servers.ts'
import { fill, World } from './testkit/world.ts'

type Case = {
  readonly name: string
  readonly statement: string
  readonly rows?: Buffer
  /** MySQL lets no function write while a table is made (1746). */ readonly only?: 'mariadb'
}

const cases: readonly Case[] = [
  { name: 'of the moved table', statement: 'UPDATE item SET v = 5 WHERE id = 1' },
  { name: 'of another table, whose trigger writes the moved one', statement: 'INSERT INTO other VALUES (1)' },
  { name: 'of another table, by a stored function that writes the moved one', statement: 'INSERT INTO plain VALUES (write_item(2))' },
  { name: 'by a function that is only asked', statement: 'DO write_item(3)' },
  { name: 'by a function whose value is set', statement: 'SET @a = write_item(3)' },
  { name: 'by a function that a procedure calls', statement: 'CALL calls(3)' },
  { name: 'by a function in a condition of another table', statement: 'DELETE FROM plain WHERE a = write_item(3)' },
  {
    name: 'by a function that fills a column of a load',
    statement: "LOAD DATA LOCAL INFILE 'x' INTO TABLE plain (@a) SET a = write_item(@a)",
    rows: Buffer.from('3\n'),
  },
  { name: 'by a function that fills a temporary table', statement: 'INSERT INTO temporary VALUES (write_item(3))' },
  { name: 'by a function that fills a table which is made', statement: 'CREATE TABLE made AS SELECT write_item(3) AS a', only: 'mariadb' },
  {
    name: 'by a function that fills a table which is made of values',
    statement: 'CREATE OR REPLACE TABLE made AS VALUES (write_item(3))',
    only: 'mariadb',
  },
  {
    name: 'by a function that fills a temporary table which is made',
    statement: 'CREATE TEMPORARY TABLE made AS SELECT write_item(3) AS a',
    only: 'mariadb',
  },
]

for (const flavour of flavours()) {
  for (const { name, statement, rows, only } of cases) {
    test(`1.10 on ${flavour}: a statement instead of rows, ${name}: the stream stops and says where`, async () => {
      const server = await sharedServer(flavour)
      await using world = await World.create({ flavour, sources: ['-'], targets: ['-'] }, { source: server, target: server })
      await fill(world, 0, 10, 10)
      const schema = world.sourceRefs[0]!.schema
      await using writer = await connect({ ...server.config, database: schema })
      await writer.query('SET GLOBAL log_bin_trust_function_creators = 1')
      await writer.query('CREATE TABLE other (a INT PRIMARY KEY)')
      await writer.query('CREATE TABLE plain (a INT PRIMARY KEY)')
      await writer.query('CREATE TRIGGER writes_item AFTER INSERT ON other FOR EACH ROW UPDATE item SET v = v + 1 WHERE id = NEW.a')
      await writer.query(
        'CREATE FUNCTION write_item(n INT) RETURNS INT DETERMINISTIC MODIFIES SQL DATA BEGIN UPDATE item SET v = v + 100 WHERE id = n; RETURN n; END',
      )
      const record = world.record(0)
      const running = world.start(record)
      await world.untilRunning(record.uid)
      await writer.query('CREATE PROCEDURE calls(n INT) BEGIN DO write_item(n); END')
      await writer.query("SET SESSION binlog_format = 'STATEMENT'")
      if (statement.includes('temporary VALUES')) await writer.query('CREATE TEMPORARY TABLE temporary (a INT)')
      if (only !== undefined && only !== flavour) {
        await assert.rejects(writer.query(statement), statement.includes('SELECT') ? { errno: 1746 } : { errno: 1064 })
        return await running.stop()
      }
      await (rows === undefined ? writer.query(statement) : writer.loadData(statement, [rows]))
      await world.until('failure', () => world.state(record.uid) === 'failed')
      const { error } = world.reports.get(record.uid) ?? assert.fail('no report')
      assert.equal(error?.code, 'SW-MOVE-003', JSON.stringify(error))
      assert.match(error?.what ?? '', /(item|other|plain|write_item)/)
      assert.equal(await world.s.value('SELECT COUNT(*) FROM item WHERE v >= 100'), /write_item|calls/.test(statement) ? '1' : '0')
      assert.match(error?.fix ?? '', /\w/)
      assert.equal(await world.t.value(`SELECT MAX(v) FROM ${world.targetRefs[0]!.schema}.item`), '9', 'nothing of it was applied')
      await running.stop()
    })
  }
}
