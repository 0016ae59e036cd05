/** Rules of a stream with one source, taken out of the appliers and the tail consumer themselves: the model that drives these finds each in about a second, without a server. */
import type { Mutation } from './mutation.ts'

const model = {
  test: 'test/models/one-source.model.test.ts',
  name: '1.2–1.5: a target with one source holds, whenever it stands between rounds, the source’s rows at X, whatever goes in parts, lands late, is thrown away, or dies',
  fails: /instead of|says that it is whole/,
}
const applier = { file: 'src/move/target-applier.ts', ...model }
const tail = { file: 'src/move/tail-consumer.ts', ...model }
const boundary = { file: 'src/move/boundary.ts', ...model }

export const oneSourceMutations: readonly Mutation[] = [
  {
    rule: '1.4 a chunk lands where its high marker was applied past',
    edits: [['return highMarker <= applied.marker', 'return highMarker >= 0']],
    ...boundary,
  },
  {
    rule: '1.4 rows whose key the tail has brought are dropped',
    edits: [['if (sets.length === 0 && this.#held.count === 0) return null', 'if (sets.length >= 0) return null']],
    ...applier,
  },
  {
    rule: '1.4 X stands while chunks land',
    edits: [
      [
        "if (this.#landing > 0) {\n          this.#doing.begin('waits for landings",
        "if (this.#landing > 99) {\n          this.#doing.begin('waits for landings",
      ],
    ],
    ...applier,
  },
  {
    rule: '1.5 nothing lands below the intent, after a crash either',
    edits: [['return compareCoordinates(applied, intent) >= 0', 'return applied.marker + intent.marker >= 0']],
    ...boundary,
  },
  {
    rule: '1.5 nothing lands within a transaction in parts',
    edits: [["    if (this.#parts === 'applying') return false\n    for (const lane", '    for (const lane']],
    ...applier,
    fails: /parts have begun|instead of/,
  },
  {
    rule: '1.5 a round in lanes stores first where it goes',
    edits: [['    await this.#setIntent(round.stamp, this.#sizeOf(round), round.stamp.position)\n', '']],
    ...applier,
  },
  {
    rule: '1.5 so does each part',
    edits: [['    await this.#setIntent(end, { transactions: 1, changes: null }, this.options.read())\n', '']],
    ...applier,
  },
  {
    rule: '1.5 the deletes of all lanes are committed before the first upsert',
    edits: [
      [
        '    await Promise.all(\n      lanes.map((lane, i) => {\n        const deletes',
        '    void Promise.all(\n      lanes.map((lane, i) => {\n        const deletes',
      ],
    ],
    ...applier,
  },
  {
    rule: '1.5 the position is stored behind the rows',
    edits: [
      [
        '    await this.#write(round)\n    if (this.#held.count > 0) return',
        '    await this.#writePosition(round.stamp)\n    await this.#write(round)\n    if (this.#held.count > 0) return',
      ],
    ],
    ...applier,
  },
  {
    rule: '1.5 and with them where a round is one transaction',
    edits: [
      [
        'await this.#writePosition(round.stamp, [...only.deletes, ...only.upserts], () =>',
        'await this.#writePosition(round.stamp)\n        await this.options.lanes[0]?.transaction([...only.deletes, ...only.upserts], () =>',
      ],
    ],
    ...applier,
  },
  {
    rule: '1.5 X is where the tail stood when the round was taken',
    edits: [
      [
        '      this.applied = round.stamp\n      this.#stored = round.stamp\n',
        '      this.applied = options.latest()\n      this.#stored = round.stamp\n',
      ],
    ],
    ...applier,
  },
  {
    rule: '1.5 X moves without a round over what changes nothing here',
    edits: [['if (this.pending.count === 0 && this.#held.count === 0) this.#advance()', 'this.#advance()']],
    ...applier,
  },
  {
    rule: '1.5 a target is whole behind parts when the position is stored',
    edits: [['this.rowsHeldBack === 0 && !this.#partsUnstored', 'this.rowsHeldBack === 0']],
    ...applier,
  },
  {
    rule: '1.4 keys of a part count as touched when it is given out',
    edits: [['    this.#touch(group)\n    await Promise.all(', '    await Promise.all(']],
    ...tail,
  },
  {
    rule: '1.4 keys of what is rolled back do not',
    edits: [
      ['    this.#group.push({ target, change })\n', '    this.#group.push({ target, change })\n    this.#touch([{ target, change }])\n'],
    ],
    ...tail,
  },
  {
    rule: '1.4 a marker is told to the keys when the tail meets it',
    edits: [['      this.#options.touched.met(this.#marker)\n', '']],
    ...tail,
  },
  {
    rule: 'promise 4 of a group that was torn nothing is given out',
    edits: [['return this.#xa.torn(this.#coordinateAfter()).then(() => this.#reset())', 'return this.#xa.torn(this.#coordinateAfter())']],
    ...tail,
  },
  {
    rule: '1.5 a target that stands further is not given a group again',
    edits: [['for (const { target, change } of group) if (!has(target)) targets', 'for (const { target, change } of group) targets']],
    ...tail,
    fails: /goes back|instead of/,
  },
  { rule: '1.5 nor its parts', edits: [['        if (this.#has(number, end)) return\n', '']], ...tail, fails: /goes back|instead of/ },
  {
    rule: '1.5 a change of shard key is a delete on the target that the row leaves',
    edits: [['if (oldKey !== null && !same) {', 'if (oldKey !== null && oldKey !== newKey) {']],
    ...tail,
  },
  {
    rule: '1.5 a change of key is a delete of the old one',
    edits: [['const same = from === to && oldKey === newKey', 'const same = from === to']],
    ...tail,
  },
]
