import type { Refusal } from './plan.ts'

/** Thrown while a scattered form is sought; the plan keeps it, for when the statement does come to more than one shard. */
export class ScatterRefused extends Error {
  readonly refusal: Refusal
  static by({ construct, reason, instead }: Refusal): ScatterRefused {
    return new ScatterRefused(construct, reason, instead)
  }
  constructor(construct: string, reason: string, instead = 'restrict the statement to one shard key value') {
    super(construct)
    this.refusal = { construct, reason, instead }
  }
}
