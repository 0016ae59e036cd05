import { defineErrors } from '../base/errors.ts'

export const topologyErrors = defineErrors('TOPOLOGY', {
  newerRecord: {
    number: 1,
    class: 'fatal',
    what: 'the record {key} has format {found}; this program knows formats up to {known}',
    why: 'A newer Shardwright wrote it. Guessing at it could undo what the newer one relies on.',
    fix: 'Run the newer version everywhere: all processes of an installation are upgraded together.',
  },
  outcomeUnknown: {
    number: 2,
    class: 'unknown',
    what: 'the topology did not say whether a commit of {keys} took effect',
    why: 'The store failed, or the connection to it was lost, while the commit was under way.',
    fix: 'Nothing to do by hand: the record is read back before anything else is done. If this repeats, look at the store (disk full, disk errors, network).',
  },
  leaseGone: {
    number: 3,
    class: 'fatal',
    what: 'the lease {lease} is gone',
    why: 'It was not renewed within its time: the process was paused or overloaded, or the store could not be reached.',
    fix: 'The process takes a new lease by itself. If this repeats, look for overload, or a paused virtual machine.',
  },
  busy: {
    number: 4,
    class: 'transient',
    what: 'the topology store {path} was locked by another process for {waitedMs} ms',
    why: 'Another process holds its write lock; it may be paused, or the disk stalls. Nothing was done.',
    fix: 'Try again. If it stays locked, see which process holds it: fuser {path}',
  },
  unusable: {
    number: 5,
    class: 'fatal',
    what: 'the topology store {path} cannot be used: {reason}',
    why: 'The file is missing, damaged, not writable, or was made by a newer version.',
    fix: 'Check the path, its permissions and the free space of the disk. A damaged file is restored from a copy; never delete it while databases are split.',
  },
  routingRefused: {
    number: 6,
    class: 'user',
    what: 'the routing of {what} cannot change: {reason}',
    why: 'A component goes stable → switching → opening → stable, or stable → retiring → stable; this step is not next.',
    fix: 'See where it stands with `shardwright status`; a switch under way ends by itself.',
  },
  staleToken: {
    number: 7,
    class: 'fatal',
    what: 'this controller holds leader token {mine}; the record {key} carries {found}',
    why: 'Another controller has taken the lead; what this one had prepared must not take effect.',
    fix: 'Nothing to do: this controller steps down and the other one goes on.',
  },
  malformed: {
    number: 8,
    class: 'fatal',
    what: 'the record {key} is not one of ours: {reason}',
    why: 'Something else wrote to the topology store, or it is damaged.',
    fix: 'Find what wrote it. Restore the record from a copy of the store.',
  },
  conflict: {
    number: 9,
    class: 'transient',
    what: 'the record {key} kept changing: {attempts} attempts to change it lost to others',
    why: 'Several processes change the same record at once.',
    fix: 'Try again.',
  },
})
