import { defineErrors } from '../base/errors.ts'

/** A move that has no room (`room.ts`). */
export const roomErrors = defineErrors('CHANGE', {
  noRoom: {
    number: 65,
    class: 'user',
    what: '{free} are free on {server} in {dir}, and about {needed} come there: not even half of that has room',
    why: 'a target whose disk is full stands still, and so does whatever else writes there; beside the rows it writes as much binlog, where that lies',
    fix: 'make room there, or name other servers with --target-server, or fewer shards on each with --targets-per-server',
  },
  noConnections: {
    number: 66,
    class: 'user',
    what: '{server} takes {max} connections, of which {now} are open, and the move takes up to {needed} of its own',
    why: 'lanes, readers and the binlog’s reader would take those of the application, or not be let in themselves',
    fix: 'SET GLOBAL max_connections = …, and in the server’s configuration',
  },
  binlogLimited: {
    number: 67,
    class: 'user',
    what: '{server} keeps {max} of binlog at most ({setting}): {seconds} s of what it writes just now',
    why: 'a stream that stands still for so long would find the binlog that it needs purged, and the move would have to begin again; for this limit no retention counts',
    fix: 'SET GLOBAL {setting} = …, or 0 for none',
  },
  noBinlogRoom: {
    number: 68,
    class: 'user',
    what: '{free} are free on {server} in {dir}: its binlog, as it is written just now, fills them in {seconds} s',
    why: 'a move needs the binlog until it has read it: without room the server stands still, or the binlog is purged before',
    fix: 'make room there, or purge binlogs that nobody needs any more',
  },
})
