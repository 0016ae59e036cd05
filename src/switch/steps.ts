/**
 * The steps of a switch by name, and what a person who looks in the middle of one wants to know (promise 7): what it waits for, what ends
 * that, and whether the switch can still go back.
 */
export type StepNote = {
  readonly waitsFor: string
  readonly ends: string
  readonly back: 'nothing has happened yet' | 'it gives up by itself' | 'decided: it only goes forward'
}

const before = 'nothing has happened yet'
const byItself = 'it gives up by itself'
const decided = 'decided: it only goes forward'

export const switchSteps = {
  preflight: { waitsFor: 'answers of the servers', ends: 'with the first refusal or when all is found fit', back: before },
  prepare: { waitsFor: 'claims, the streams of the way back, and one drain in each direction', ends: 'within --timeout', back: before },
  'hold writes at the gates': { waitsFor: 'the commit of the hold', ends: 'when the topology answers', back: byItself },
  'gates acknowledge': { waitsFor: 'gates to hold, and open transactions to end', ends: 'when the grace is over', back: byItself },
  'the new side is closed': { waitsFor: 'a look at the fences of the new side', ends: 'at the limit of the switch', back: byItself },
  'lock the tables': { waitsFor: 'writers on the old side', ends: 'they commit, or are ended when the grace is over', back: byItself },
  drain: { waitsFor: 'the new side to apply the marker', ends: 'at the limit of the switch', back: byItself },
  ids: { waitsFor: 'sequences and AUTO_INCREMENT to be raised', ends: 'at the limit of the switch', back: byItself },
  'close the old side': { waitsFor: 'the lasting fence', ends: 'at the limit of the switch', back: byItself },
  'release the table locks': { waitsFor: 'UNLOCK TABLES', ends: 'with the lock sessions at the latest', back: byItself },
  'drop triggers of the old side': { waitsFor: 'DDL on the old side', ends: 'at the limit of the switch', back: byItself },
  'drain under the fence': { waitsFor: 'the new side to apply the second marker', ends: 'at the limit of the switch', back: byItself },
  'prove the way back': { waitsFor: 'a marker of the new side to come back', ends: 'at the limit of the switch', back: byItself },
  'carry rows of shards': { waitsFor: 'positions and marks of fleets on the new side', ends: 'at the limit of the switch', back: byItself },
  'make triggers and events': { waitsFor: 'DDL on the new side', ends: 'at the limit of the switch', back: byItself },
  'decide: switched': { waitsFor: 'the deciding commit', ends: 'when the topology answers', back: byItself },
  'decide: back': { waitsFor: 'the commit that gives the switch up', ends: 'when the topology answers', back: decided },
  'open the new side': { waitsFor: 'its servers to be opened', ends: 'when they answer; any controller goes on with it', back: decided },
  'open the old side again': {
    waitsFor: 'its servers to be opened',
    ends: 'when they answer; any controller goes on with it',
    back: decided,
  },
} as const satisfies Record<string, StepNote>

export type SwitchStepName = keyof typeof switchSteps
