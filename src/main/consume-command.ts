import { mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Command } from 'commander'
import { systemClock } from '../base/clock.ts'
import { readFleet } from '../change/fleets.ts'
import { branchKeyspace } from '../topology/dualwrite-records.ts'
import { consumerOf } from './consumer-of.ts'
import { mainErrors } from './errors.ts'
import { fileLog } from './log.ts'
import { claimTopology, openTopology } from './topology.ts'

type ConsumeFlags = { fleet?: string; branch?: string; dataDir: string; topology?: string }

/** `consume`: one consumer of a fleet, against the topology. Which partitions it has is settled with the others by leases, so that one more or one less is always right. */
export function consumeCommand(program: Command, say: (line: string) => void): void {
  program
    .command('consume')
    .description('run one consumer of a fleet in this process until Ctrl-C, beside those that `up` runs')
    .option('--fleet <fleet>', 'as `fleet list` names it: insights, insights@wide, insights+slow')
    .option('--branch <branch>', 'the same of a branch with one fleet: insights/wide')
    .option('--data-dir <dir>', 'where the topology is, unless --topology says, and the log is kept', './.shardwright')
    .option('--topology <etcd://…>', 'etcd://host:port[,host:port…]/prefix, as `up` was given')
    .action(async (flags: ConsumeFlags) => {
      const name = fleetOf(flags)
      const dataDir = resolve(flags.dataDir)
      mkdirSync(join(dataDir, 'logs'), { recursive: true, mode: 0o700 })
      claimTopology(flags.topology, dataDir)
      const stop = new AbortController()
      const end = (): void => stop.abort(new Error('told to end'))
      process.once('SIGINT', end)
      process.once('SIGTERM', end)
      await using store = openTopology(flags.topology, dataDir)
      const { wanted, keyspace, branch } = await readFleet({ store }, name)
      const log = fileLog(join(dataDir, 'logs', 'consume.log'), `consume ${name}`)
      const running = consumerOf({ store, fleet: name, log }).run(stop.signal)
      say(
        `consuming for ${name} (${branchKeyspace(keyspace, branch)}, wanted ${wanted}); log ${join(dataDir, 'logs', 'consume.log')}; Ctrl-C ends it`,
      )
      // Which ends by itself where its fleet is deleted.
      await Promise.race([running, systemClock.sleep(2 ** 30, stop.signal).catch(() => undefined)])
      await running
      say(`the consumer of ${name} has ended and let its partitions go`)
    })
}

/** `insights/wide` as the branch is made, or `insights@wide` as it is read: both name its fleet. */
function fleetOf({ fleet, branch }: ConsumeFlags): string {
  const given = fleet ?? branch?.replace('/', '@')
  if (given === undefined || given === '' || (fleet !== undefined && branch !== undefined))
    throw mainErrors.badArguments({ process: 'consume', problem: 'name one: --fleet insights@wide, or --branch insights/wide' })
  const [keyspace = '', name = 'main'] = given.split('@')
  return name === 'main' ? keyspace : given
}
