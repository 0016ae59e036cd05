import { Command } from 'commander'
import type { CliContext } from './context.ts'
import { dualwriteCommand } from './dualwrite.ts'
import { fleetCommands } from './fleet.ts'
import { keyspaceCommands } from './keyspace.ts'
import { planCommand } from './plan.ts'
import { reshardCommand } from './reshard.ts'
import { statusCommands } from './status.ts'
import { topicCommands } from './topic.ts'
import { userCommands } from './user.ts'
import { vdiffCommand } from './vdiff.ts'
import { vschemaCommands } from './vschema.ts'

/** The whole command line but `up`, which main/ adds. Errors come out as thrown SwErrors. */
export function buildProgram(cli: CliContext, version: string): Command {
  const program = new Command('shardwright')
    .description('changes the shard count of a sharded MySQL or MariaDB database while the application keeps running')
    .version(version)
    .option('--api <url>', 'the control API; default: the one of ./.shardwright, else http://127.0.0.1:15000')
    .showHelpAfterError()
  reshardCommand(program, cli)
  vdiffCommand(program, cli)
  keyspaceCommands(program, cli)
  vschemaCommands(program, cli)
  userCommands(program, cli)
  fleetCommands(program, cli)
  topicCommands(program, cli)
  dualwriteCommand(program, cli)
  planCommand(program, cli)
  statusCommands(program, cli)
  return program
}
