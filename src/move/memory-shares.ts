/**
 * A mover's budgets of memory, shared by its streams: each may take its part of what the mover may, by how many there are just now. What a stream holds when another comes it does not have to give back; it
 * takes no more until it is below its new part. Budgets of the copy are shared by those that copy; how many rows those of a workflow copy in all is known here too (`copy-budget.ts`).
 */
import type { MoverConfig } from './config.ts'
import type { Copies } from './copy-budget.ts'

export type MemoryBudgets = Pick<
  MoverConfig,
  'copyBytesMax' | 'touchedBytesMax' | 'pendingBytesMax' | 'partBytesMax' | 'tailBufferBytes' | 'readBufferBytes'
>

/** With less a stream would pay more for its round trips than its memory is worth. */
const bytesMin = 64 << 10

/** A stream's copy among those of its mover. */
export type CopyShare = {
  /** Told once it is known. */
  rowsEstimated: number
  /** With the others of its workflow. */
  readonly together: () => Copies
  readonly end: () => void
}

export class MemoryShares {
  readonly #config: MemoryBudgets
  #streams = 0
  #copying = 0
  readonly #copies = new Map<string, Set<CopyShare>>()

  constructor(config: MemoryBudgets) {
    this.#config = config
  }

  /** A run of a stream has begun; returns what its end has to call. */
  join(): () => void {
    this.#streams++
    return once(() => this.#streams--)
  }

  joinCopy(workflowUid: string): CopyShare {
    const copies = this.#copies.get(workflowUid) ?? new Set<CopyShare>()
    this.#copies.set(workflowUid, copies)
    const copy: CopyShare = {
      rowsEstimated: 0,
      together: () => ({ streams: copies.size, rowsEstimated: [...copies].reduce((rows, { rowsEstimated }) => rows + rowsEstimated, 0) }),
      end: once(() => {
        this.#copying--
        copies.delete(copy)
        if (copies.size === 0 && this.#copies.get(workflowUid) === copies) this.#copies.delete(workflowUid)
      }),
    }
    this.#copying++
    copies.add(copy)
    return copy
  }

  get copyBytesMax(): number {
    return part(this.#config.copyBytesMax, this.#copying)
  }

  get touchedBytesMax(): number {
    return part(this.#config.touchedBytesMax, this.#copying)
  }

  get readBufferBytes(): number {
    return part(this.#config.readBufferBytes, this.#copying)
  }

  get pendingBytesMax(): number {
    return part(this.#config.pendingBytesMax, this.#streams)
  }

  get partBytesMax(): number {
    return part(this.#config.partBytesMax, this.#streams)
  }

  get tailBufferBytes(): number {
    return part(this.#config.tailBufferBytes, this.#streams)
  }
}

/** A budget that is smaller than the least was meant so. */
function part(bytes: number, sharers: number): number {
  return sharers <= 1 ? bytes : Math.max(Math.min(bytes, bytesMin), Math.ceil(bytes / sharers))
}

function once(work: () => void): () => void {
  let done = false
  return () => {
    if (done) return
    done = true
    work()
  }
}
