/**
 * The oracle's other world: a real installation, its keyspace resharded 1 → 4 beforehand, and switched to eight shards and back, again and again, while the
 * statements run.
 */
import { connect } from '../../src/mysql/connect.ts'
import { ranges } from '../../src/demo/story.ts'
import { appPassword, appUser, Installation } from '../kit/installation.ts'
import { testServer } from '../kit/servers.ts'
import { until } from '../kit/until.ts'
import { ReshardUnderTest } from '../kit/workflow.ts'
import type { Flavour, World } from './world.ts'

export type Resharding = World & {
  /** Switches and reverses until told to stop. Resolves with how often. */
  switching(stop: AbortSignal): Promise<number>
  /** With what the processes said. */
  describe(error: unknown): Error
}

const keyspace = 'four'

export async function startResharding(
  flavour: Flavour,
  vschema: object,
  creates: readonly string[],
  transactionMode: 'multi' | 'xa' = 'multi',
): Promise<Resharding> {
  const reference = await testServer({ flavour, binlog: false, bufferPoolMb: 64 })
  const one = await connect(reference.config)
  await one.query('CREATE DATABASE one CHARACTER SET utf8mb4')
  await one.close()
  const installation = await Installation.start({ flavour, keyspace: false, rows: 1 })
  const stop = async (): Promise<void> => {
    await installation[Symbol.asyncDispose]()
    await reference[Symbol.asyncDispose]()
  }
  try {
    const { client, existing } = installation
    await installation.onExisting(async (connection) => {
      await connection.query(`CREATE DATABASE ${keyspace} CHARACTER SET utf8mb4`)
      await connection.query(`USE ${keyspace}`)
      for (const create of creates) await connection.query(create)
    })
    await client.call('createKeyspace', {}, { name: keyspace, server: { ...existing.config, schema: keyspace } })
    if (transactionMode !== 'multi') await client.call('updateKeyspace', { keyspace }, { transactionMode })
    await client.call('applyVSchema', { keyspace }, { vschema } as never)
    const first = new ReshardUnderTest(client, 'first', { sourceShards: ranges(1), targetShards: ranges(4) }, keyspace)
    await first.create()
    await first.actWhenReady('switchtraffic')
    await first.act('complete')
    const second = new ReshardUnderTest(client, 'second', { sourceShards: ranges(4), targetShards: ranges(8) }, keyspace)
    await second.create()
    const four = () => connect({ host: '127.0.0.1', port: installation.gatePort, user: appUser, password: appPassword, database: keyspace })
    await until('the gate to serve four shards', async () => {
      const connection = await four()
      await connection.close()
      return true
    })
    return {
      one: () => connect({ ...reference.config, database: 'one' }),
      four,
      shard: null,
      async switching(signal) {
        let count = 0
        while (!signal.aborted) {
          await second.actWhenReady(count % 2 === 0 ? 'switchtraffic' : 'reversetraffic')
          count++
        }
        return count
      },
      describe: (error) => installation.describe(error),
      [Symbol.asyncDispose]: stop,
    }
  } catch (error) {
    const told = installation.describe(error)
    await stop()
    throw told
  }
}
