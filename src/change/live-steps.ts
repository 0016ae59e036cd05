/**
 * Shows the step of a switch that is under way, without holding it up: one write at a time, of the newest step only. What cannot be
 * written is not shown; nothing depends on it.
 */
import { switchSteps } from '../switch/steps.ts'
import type { SwitchStepName } from '../switch/steps.ts'
import type { ActionContext } from '../workflow/context.ts'

export class LiveSteps {
  readonly #context: Pick<ActionContext, 'waiting'>
  #newest: SwitchStepName | null = null
  #writing: Promise<void> | null = null

  constructor(context: Pick<ActionContext, 'waiting'>) {
    this.#context = context
  }

  show(step: SwitchStepName): void {
    this.#newest = step
    this.#writing ??= this.#write().finally(() => {
      this.#writing = null
    })
  }

  async end(): Promise<void> {
    this.#newest = null
    await this.#writing
    await this.#context.waiting(null)
  }

  async #write(): Promise<void> {
    for (let step = this.#newest; step !== null; step = this.#newest === step ? null : this.#newest) {
      const { waitsFor, ends, back } = switchSteps[step]
      await this.#context.waiting(`${waitsFor} (step "${step}"; ${back})`, ends).catch(() => undefined)
    }
  }
}
