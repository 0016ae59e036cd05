/** What only MariaDB lets stand in a table (PROTOCOLS 1.1, 1.3): hashes of long unique keys, rows that no CHECK would take. They are copied and followed as all others. */
import { after, test } from 'node:test'
import { ServerPairs } from '../../test/kit/server-pairs.ts'
import { flavours } from '../../test/kit/servers.ts'
import { connect } from '../mysql/connect.ts'
import { World } from './testkit/world.ts'

const servers = new ServerPairs()
after(() => servers[Symbol.asyncDispose]())

const tables = [
  {
    name: 'item',
    shardKey: 'owner',
    ddl: 'CREATE TABLE item (id INT NOT NULL PRIMARY KEY, owner INT NOT NULL, v INT NOT NULL, body TEXT UNIQUE, url VARCHAR(2000) CHARACTER SET utf8mb4 NOT NULL UNIQUE, CHECK (v > 0))',
  },
]

test(
  '1.1, 1.3 on mariadb: tables with long unique keys, and with rows that were not checked, are copied and followed',
  {
    skip: !flavours().includes('mariadb'),
  },
  async () => {
    await using world = await World.create({ flavour: 'mariadb', sources: ['-'], targets: ['-80', '80-'], tables }, servers.of('mariadb'))
    const { schema } = world.sourceRefs[0]!
    const client = await connect({ ...world.source.config, database: schema, sessionSql: ['SET SESSION check_constraint_checks=0'] })
    const rows = Array.from(
      { length: 400 },
      (_, i) => `(${i}, ${i * 7}, ${i % 5 === 0 ? -1 : 1}, ${i % 3 === 0 ? 'NULL' : `'b${i}'`}, 'u${i}')`,
    )
    await client.query(`INSERT INTO item VALUES ${rows.join()}`)
    const record = world.record(0)
    const running = world.start(record)
    await world.untilRunning(record.uid)
    await client.query("INSERT INTO item VALUES (1000, 3, -7, 'x', 'x'), (1001, 5, 1, 'y', 'y')")
    await client.query('UPDATE item SET v = -v WHERE id < 20')
    await client.query("UPDATE item SET body = CONCAT('moved ', id), url = CONCAT('moved ', id) WHERE id BETWEEN 10 AND 50")
    await client.query('DELETE FROM item WHERE id > 390 AND id < 400')
    await world.drain(record.uid)
    await world.assertEqual()
    client.destroy()
    await running.stop()
  },
)
