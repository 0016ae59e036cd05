import type { TableProblem } from './table-plan.ts'

/** Collects what is wrong with one table, all of it at once. */
export class TableProblems {
  readonly list: TableProblem[] = []
  readonly #table: string

  constructor(table: string) {
    this.#table = table
  }

  add(column: string | null, problem: string, fix: string): void {
    this.list.push({ table: this.#table, column, problem, fix })
  }
}
