/** Every rule of a switch (PROTOCOLS 3) that a test on one machine can see missing. */
import type { Mutation } from './mutation.ts'
import { checkMutations } from './switch-checks.ts'
import { claimMutations } from './switch-claims.ts'
import { fenceMutations } from './switch-fences.ts'
import { gateMutations } from './switch-gates.ts'
import { goingMutations } from './switch-going.ts'
import { loreMutations } from './switch-lore.ts'
import { switchModelMutations } from './switch-models.ts'
import { recordMutations } from './switch-record.ts'
import { stepMutations } from './switch-steps.ts'

export const switchMutations: readonly Mutation[] = [
  ...recordMutations,
  ...stepMutations,
  ...fenceMutations,
  ...claimMutations,
  ...checkMutations,
  ...goingMutations,
  ...gateMutations,
  ...loreMutations,
  ...switchModelMutations,
]
