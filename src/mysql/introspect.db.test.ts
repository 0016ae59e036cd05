import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { flavours, sharedServer, uniqueName } from '../../test/kit/servers.ts'
import { connect } from './connect.ts'
import { listSchemas, maxOf, readSchema, readServer, readTable } from './introspect.ts'

for (const flavour of flavours()) {
  describe(flavour, () => {
    test('a schema with everything in it is read as it is', async () => {
      const server = await sharedServer(flavour)
      await using c = await connect(server.config)
      const schema = uniqueName('intro')
      for (const sql of [
        `CREATE DATABASE ${schema} CHARACTER SET utf8mb4`,
        `USE ${schema}`,
        `CREATE TABLE parent (id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, \`we\`\`ird\` VARCHAR(20) CHARACTER SET latin1 DEFAULT 'x', v INT GENERATED ALWAYS AS (LENGTH(\`we\`\`ird\`)) VIRTUAL,
           s INT AS (LENGTH(\`we\`\`ird\`)) STORED, e ENUM('unsigned', 'b'), ts TIMESTAMP(3) NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3), hidden INT INVISIBLE,
           UNIQUE KEY u (\`we\`\`ird\`), KEY k (e, s DESC), KEY pre (\`we\`\`ird\`(5))) COMMENT 'the parent'`,
        'INSERT INTO parent (e) VALUES (1)',
        'CREATE TABLE child (a INT, b INT, parent_id BIGINT UNSIGNED, PRIMARY KEY (b, a), CONSTRAINT to_parent FOREIGN KEY (parent_id) REFERENCES parent (id) ON DELETE CASCADE ON UPDATE SET NULL)',
        'CREATE TABLE parts (a INT NOT NULL, UNIQUE KEY (a)) PARTITION BY HASH (a) PARTITIONS 2',
        'CREATE TRIGGER tr BEFORE INSERT ON child FOR EACH ROW SET NEW.a = NEW.a + 1',
        'CREATE VIEW v AS SELECT a FROM child',
        'CREATE EVENT ev ON SCHEDULE EVERY 1 DAY DO DELETE FROM child',
        'CREATE PROCEDURE pr() SELECT 1',
      ])
        await c.query(sql)

      const info = await readSchema(c, schema)
      assert.equal(info.charset, 'utf8mb4')
      assert.deepEqual(
        info.tables.map((table) => table.name),
        ['child', 'parent', 'parts'],
      )
      const [child, parent, parts] = info.tables
      assert.ok(child !== undefined && parent !== undefined && parts !== undefined)

      assert.equal(parent.autoIncrement, 2n)
      assert.equal(parent.comment, 'the parent')
      assert.equal(parent.charset, 'utf8mb4')
      assert.deepEqual(
        parent.columns.map((column) => [
          column.name,
          column.dataType,
          column.unsigned,
          column.charset,
          column.nullable,
          column.autoIncrement,
          column.generated?.stored ?? null,
          column.invisible,
        ]),
        [
          ['id', 'bigint', true, null, false, true, null, false],
          ['we`ird', 'varchar', false, 'latin1', true, false, null, false],
          ['v', 'int', false, null, true, false, false, false],
          ['s', 'int', false, null, true, false, true, false],
          ['e', 'enum', false, 'utf8mb4', true, false, null, false],
          ['ts', 'timestamp', false, null, true, false, null, false],
          ['hidden', 'int', false, null, true, false, null, true],
        ],
      )
      assert.match(parent.columns[5]?.extra ?? '', /on update/i)
      assert.deepEqual(
        parent.keys.map((key) => [
          key.name,
          key.primary,
          key.unique,
          key.identifiesRows,
          key.parts.map((part) => [part.column, part.prefixLength, part.descending]),
        ]),
        [
          ['PRIMARY', true, true, true, [['id', null, false]]],
          [
            'k',
            false,
            false,
            false,
            [
              ['e', null, false],
              ['s', null, true],
            ],
          ],
          ['pre', false, false, false, [['we`ird', 5, false]]],
          ['u', false, true, false, [['we`ird', null, false]]],
        ],
      )
      assert.deepEqual(
        child.keys[0]?.parts.map((part) => part.column),
        ['b', 'a'],
        'key parts in the order of the key',
      )
      assert.deepEqual(child.foreignKeys, [
        {
          name: 'to_parent',
          columns: ['parent_id'],
          referencedSchema: schema,
          referencedTable: 'parent',
          referencedColumns: ['id'],
          onUpdate: 'SET NULL',
          onDelete: 'CASCADE',
        },
      ])
      assert.deepEqual(
        child.triggers.map((trigger) => [trigger.name, trigger.timing, trigger.event, trigger.table]),
        [['tr', 'BEFORE', 'INSERT', 'child']],
      )
      assert.match(child.triggers[0]?.createSql ?? '', /trigger/i)
      assert.equal(parts.partitioned, true)
      assert.equal(parts.keys[0]?.identifiesRows, true, 'a NOT NULL unique key names each row')
      assert.match(child.createSql, /^CREATE TABLE `child`/)
      assert.deepEqual(
        info.views.map((view) => view.name),
        ['v'],
      )
      assert.match(info.views[0]?.createSql ?? '', /VIEW/)
      assert.deepEqual(
        info.events.map((event) => event.name),
        ['ev'],
      )
      assert.match(info.events[0]?.createSql ?? '', /EVENT/)
      assert.deepEqual(
        info.routines.map((routine) => [routine.name, routine.kind]),
        [['pr', 'PROCEDURE']],
      )

      assert.deepEqual(await readTable(c, schema, 'parts'), { ...parts, rowsEstimate: parts.rowsEstimate })
      await assert.rejects(readTable(c, schema, 'nope'), { code: 'SW-MYSQL-017' })
      await assert.rejects(readSchema(c, 'nope'), { code: 'SW-MYSQL-018' })
      assert.ok((await listSchemas(c)).includes(schema))
      assert.equal(await maxOf(c, schema, 'parent', 'id'), '1')
      assert.equal(await maxOf(c, schema, 'parts', 'a'), null)
    })

    test('facts of the server', async () => {
      const server = await sharedServer(flavour)
      await using c = await connect(server.config)
      const facts = await readServer(c)
      assert.equal(facts.versionNumber, c.versionNumber)
      assert.equal(facts.readOnly, false)
      assert.ok(facts.uuid.length > 10)
      assert.equal(facts.lowerCaseTableNames, 0)
      assert.ok(facts.maxAllowedPacketBytes > 1 << 20)
    })
  })
}
