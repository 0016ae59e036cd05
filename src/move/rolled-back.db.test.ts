/** PROTOCOLS 1.5, 1.10: MariaDB logs what a transaction with a temporary table took back, and that it did: none of it is applied, all else is, and the stream goes on. */
import { after, test } from 'node:test'
import { ServerPairs } from '../../test/kit/server-pairs.ts'
import { flavours } from '../../test/kit/servers.ts'
import { connect } from '../mysql/connect.ts'
import { fill, World } from './testkit/world.ts'

const servers = new ServerPairs()
after(() => servers[Symbol.asyncDispose]())

test('1.5 on mariadb: what rolls back behind a temporary table is not applied', { skip: !flavours().includes('mariadb') }, async () => {
  await using world = await World.create({ flavour: 'mariadb', sources: ['-'], targets: ['-80', '80-'] }, servers.of('mariadb'))
  await fill(world, 0, 50, 1000)
  const record = world.record(0)
  const running = world.start(record)
  await world.untilRunning(record.uid)
  const { schema } = world.sourceRefs[0]!
  const client = await connect({ ...world.source.config, database: schema })
  const run = async (...statements: string[]): Promise<void> => {
    for (const statement of statements) await client.query(statement)
  }
  await run(
    'BEGIN',
    'UPDATE item SET v = v + 1',
    'CREATE TEMPORARY TABLE a (x INT) ENGINE=InnoDB',
    'DELETE FROM item WHERE id < 10',
    'ROLLBACK',
  )
  await run('BEGIN', 'DROP TEMPORARY TABLE a', 'UPDATE item SET v = v + 10 WHERE id = 1', 'SAVEPOINT s')
  await run('DELETE FROM item WHERE id = 2', 'ROLLBACK TO s', 'UPDATE item SET v = v + 100 WHERE id = 3', 'COMMIT')
  await client.close()
  await world.drain(record.uid)
  await world.assertEqual()
  await running.stop()
})
