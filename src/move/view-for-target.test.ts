/** Which names of a view's text are qualified by its schema, and which by a table or an alias of that name. As servers print views: `views.db.test.ts`. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { viewForTarget } from './view-for-target.ts'

const made = (text: string): string => viewForTarget(text, 'a', 'b')
const head = 'CREATE ALGORITHM=UNDEFINED DEFINER=`a`@`%` SQL SECURITY DEFINER VIEW'

const cases: Record<string, [string, string]> = {
  'the view, a table and its columns in full': [
    `${head} \`a\`.\`v\` (\`x\`,\`y\`) AS select \`a\`.\`a\`.\`x\` AS \`x\`,\`a\`.\`a\`.\`y\` AS \`y\` from \`a\`.\`a\` where (\`a\`.\`a\`.\`x\` > 1)`,
    `${head} \`b\`.\`v\` (\`x\`,\`y\`) AS select \`b\`.\`a\`.\`x\` AS \`x\`,\`b\`.\`a\`.\`y\` AS \`y\` from \`b\`.\`a\` where (\`b\`.\`a\`.\`x\` > 1)`,
  ],
  'columns by a table or an alias of that name': [
    `${head} \`v\` AS select \`a\`.\`x\` AS \`x\` from (\`a\`.\`t\` \`a\` join \`a\`.\`u\` on((\`a\`.\`x\` = \`u\`.\`x\`))) where \`a\`.\`y\` in (1,2) order by \`a\`.\`x\`,\`a\`.\`y\``,
    `${head} \`v\` AS select \`a\`.\`x\` AS \`x\` from (\`b\`.\`t\` \`a\` join \`b\`.\`u\` on((\`a\`.\`x\` = \`u\`.\`x\`))) where \`a\`.\`y\` in (1,2) order by \`a\`.\`x\`,\`a\`.\`y\``,
  ],
  'tables behind commas, in nested joins, in subqueries and unions': [
    `select 1 from \`a\`.\`t\` \`a\`,\`a\`.\`u\` left join (\`a\`.\`w\` join \`a\`.\`z\` straight_join \`a\`.\`a\` USE INDEX FOR ORDER BY (\`n\`) join \`a\`.\`n\` FORCE INDEX FOR JOIN (\`n\`)) on(exists(select 1 from \`a\`.\`t\` where \`a\`.\`x\` = \`t\`.\`x\`)) group by \`a\`.\`x\`,\`a\`.\`y\` union all select 1 from (select \`a\`.\`x\` from \`a\`.\`t\` \`a\`) \`q\`,lateral (select \`a\`.\`q\`) \`a\``,
    `select 1 from \`b\`.\`t\` \`a\`,\`b\`.\`u\` left join (\`b\`.\`w\` join \`b\`.\`z\` straight_join \`b\`.\`a\` USE INDEX FOR ORDER BY (\`n\`) join \`b\`.\`n\` FORCE INDEX FOR JOIN (\`n\`)) on(exists(select 1 from \`b\`.\`t\` where \`a\`.\`x\` = \`t\`.\`x\`)) group by \`a\`.\`x\`,\`a\`.\`y\` union all select 1 from (select \`a\`.\`x\` from \`b\`.\`t\` \`a\`) \`q\`,lateral (select \`a\`.\`q\`) \`a\``,
  ],
  'functions, FROM in one, a table function': [
    "select `a`.`f`(`a`.`x`,2) AS `n`,extract(year from `a`.`x`),trim(both `a`.`y` from `a`.`x`),nextval(`a`.`s`) from json_table(`a`.`j`,'$' columns (`a` int path '$')) `a` join `a`.`t`",
    "select `b`.`f`(`a`.`x`,2) AS `n`,extract(year from `a`.`x`),trim(both `a`.`y` from `a`.`x`),nextval(`b`.`s`) from json_table(`a`.`j`,'$' columns (`a` int path '$')) `a` join `b`.`t`",
  ],
  WITH: [
    'with recursive `a` (`x`) as (select 1 union all select (`a`.`x` + 1) from `a` where `a`.`x` < 3),`c` as (select `a`.`x` from `a`.`t` `a`) select `a`.`x`,row_number() OVER `w` from (`a` join `c`) window `w` as (partition by `a`.`x`,`a`.`y`) limit 1',
    'with recursive `a` (`x`) as (select 1 union all select (`a`.`x` + 1) from `a` where `a`.`x` < 3),`c` as (select `a`.`x` from `b`.`t` `a`) select `a`.`x`,row_number() OVER `w` from (`a` join `c`) window `w` as (partition by `a`.`x`,`a`.`y`) limit 1',
  ],
  'another schema’s, literals, names that hold the qualifier': [
    "select 'from `a`.`t`',_utf8mb4'it''s `a`.\\'`a`.`t`',`a`.`t`.`x`,`o`.`t`.`x` AS `\"a\".x`,`o`.`a`.`x` AS ```a``.x`,`a``.a`.`x` from `a`.`t` join `o`.`t` join `o`.`a` join `A`.`t`",
    "select 'from `a`.`t`',_utf8mb4'it''s `a`.\\'`a`.`t`',`b`.`t`.`x`,`o`.`t`.`x` AS `\"a\".x`,`o`.`a`.`x` AS ```a``.x`,`a``.a`.`x` from `b`.`t` join `o`.`t` join `o`.`a` join `A`.`t`",
  ],
}

for (const [what, [text, expected]] of Object.entries(cases))
  test(`1.11 a view for a target: ${what}`, () => assert.equal(made(text), expected))

test('1.11 a view for a target: names with backquotes and dots, of other alphabets', () => {
  assert.equal(viewForTarget('select `ü``.`.`t`.`x` from `ü``.`.`t`', 'ü`.', '日.`'), 'select `日.```.`t`.`x` from `日.```.`t`')
})

test('1.11 a view for a target: what can not be read is told', () => {
  assert.throws(() => made("select 'x from `a`.`t`"), { code: /^SW-SQL-/ })
})
