/** Verbs and flags of `DualWrite`: one table, from which the command and its help are built. */
import type { FlagRule } from './flags.ts'

export const dualwriteVerbTexts = {
  create: 'check all preconditions, fill the branch by a second fleet',
  show: 'all about it: coverage, evidence of each rung, fleets, journal',
  status: 'coverage, reads and the way back in a few lines',
  check: 'the preconditions again, all at once',
  start: 'take up streams of dimension tables that have stopped',
  validate: 'compare both branches by the ladder L0–L6',
  ramp: 'move readers: a share of tenants, one tenant, or step by step',
  rollback: 'readers back to the old branch; no tenant goes back in time',
  complete: 'stop the old fleet and, after the hold, remove the old data',
  cancel: 'end the run and remove the rows of the new branch',
} as const
export const bootstraps = ['wait', 'pin', 'pin+wait', 'hybrid'] as const
const every = Object.keys(dualwriteVerbTexts)

export const dualwriteFlags: readonly FlagRule[] = [
  { flag: '--keyspace <keyspace>', verbs: every, how: 'works', help: 'the keyspace' },
  { flag: '--workflow <name>', verbs: every, how: 'works', help: 'the name of the run' },
  { flag: '--to-branch <branch>', verbs: ['create'], how: 'works', help: 'the branch that is filled' },
  { flag: '--bootstrap <way>', verbs: ['create'], how: 'works', help: bootstraps.join(' | ') },
  { flag: '--margin <duration>', verbs: ['create'], how: 'works', help: 'how far behind the oldest offset held a pinned branch begins' },
  {
    flag: '--raise-retention [bool]',
    verbs: ['create'],
    how: 'works',
    help: 'raise the topics’ retention first where that is allowed (put back at the end)',
  },
  { flag: '--consumers <n>', verbs: ['create'], how: 'works', help: 'consumer processes of the second fleet' },
  { flag: '--writers <n>', verbs: ['create'], how: 'works', help: 'writer lanes of each' },
  {
    flag: '--rungs <rungs>',
    verbs: ['create', 'validate'],
    how: 'works',
    help: 'create: what readiness asks for (all but L6, which holds fleets); validate: as --rung',
  },
  {
    flag: '--rung <rungs>',
    verbs: ['validate'],
    how: 'works',
    help: 'only these; without it those that readiness asks for, so L6 only by name: it holds fleets',
  },
  {
    flag: '--pause <time>',
    verbs: ['validate'],
    how: 'works',
    help: 'how long L6 holds a fleet (10s): what drains too quickly to be told needs more',
  },
  { flag: '--allow <checks>', verbs: ['create'], how: 'works', help: 'preconditions that are passed over, by name' },
  { flag: '--steps <percents>', verbs: ['create'], how: 'works', help: 'shares of an automatic ramp, e.g. 0.1,1,5,25,50,100' },
  { flag: '--dwell <duration>', verbs: ['create', 'ramp'], how: 'works', help: 'how long each step of an automatic ramp stands at least' },
  { flag: '--p95-times-most <n>', verbs: ['create'], how: 'works', help: 'p95 of reads on the new branch against the old' },
  { flag: '--p95-floor <duration>', verbs: ['create'], how: 'works', help: 'p95 up to this is never over budget (5ms)' },
  {
    flag: '--errors-most <share>',
    verbs: ['create'],
    how: 'works',
    help: 'failed reads on the new branch, as a share (0.001), above which the ramp steps back',
  },
  {
    flag: '--watch-rungs <rungs>',
    verbs: ['create'],
    how: 'works',
    help: 'what is compared while reads move (L1,L2); none: nothing',
  },
  { flag: '--watch-every <duration>', verbs: ['create'], how: 'works', help: 'how often both branches are compared while reads move' },
  {
    flag: '--quiet <duration>',
    verbs: ['create'],
    how: 'works',
    help: 'how long nobody may have read the old servers before they are given up',
  },
  {
    flag: '--hold <duration>',
    verbs: ['create', 'complete'],
    how: 'works',
    help: 'how long the old data is kept; default: one retention of the topics',
  },
  { flag: '--percent <n>', verbs: ['ramp'], how: 'works', help: 'the share of tenants that reads the new branch' },
  { flag: '--auto', verbs: ['ramp'], how: 'works', help: 'step by step, watched, and back by itself' },
  { flag: '--stop', verbs: ['ramp'], how: 'works', help: 'keep an automatic ramp where it is' },
  { flag: '--tenant <value>', verbs: ['ramp'], how: 'works', help: 'one tenant, by the value of its shard key, with --to' },
  { flag: '--keyspace-id <hex>', verbs: ['ramp'], how: 'works', help: 'one tenant, by its keyspace id, with --to' },
  { flag: '--to <branch>', verbs: ['ramp'], how: 'works', help: 'main, the new branch, or default' },
  { flag: '--emergency', verbs: ['rollback'], how: 'works', help: 'at once: reads may go back in time' },
  { flag: '--keep-data', verbs: ['cancel'], how: 'works', help: 'leave the rows of the branch' },
  { flag: '--dry-run', verbs: every, how: 'works', help: 'say what would be done' },
  { flag: '--yes', verbs: ['complete', 'cancel'], how: 'works', help: 'what is removed is meant to be' },
  { flag: '--wait [bool]', verbs: every, how: 'works', help: 'follow until it has ended; default true' },
  { flag: '--format <format>', verbs: every, how: 'works', help: 'text | json' },
]
