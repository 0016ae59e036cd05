-- oltp_read_write, with a clock on every statement: those that take 10 ms and longer, and every error, go to a file of their
-- thread under SWITCH_BENCH_DIR. Errors are told, counted and survived (the event begins again), so that none hides and none ends the run.
require("oltp_read_write")

local ffi = require("ffi")
ffi.cdef([[
struct switch_bench_timespec { long tv_sec; long tv_nsec; };
int clock_gettime(int clock, struct switch_bench_timespec *to);
]])
local now_at = ffi.new("struct switch_bench_timespec")

-- Wall-clock milliseconds.
local function now()
   ffi.C.clock_gettime(0, now_at)
   return tonumber(now_at.tv_sec) * 1000 + tonumber(now_at.tv_nsec) / 1e6
end

local told = nil
local writes = { index_updates = true, non_index_updates = true, deletes = true, inserts = true }

local function tell(...)
   told:write(string.format(...), "\n")
   told:flush()
end

local function clocked(statement, kind)
   return {
      execute = function()
         local started = now()
         local result = statement:execute()
         local took = now() - started
         if took >= 10 then
            tell("W %.3f %.3f %s", started, took, kind)
         end
         return result
      end,
      close = function()
         return statement:close()
      end
   }
end

local original_init = thread_init

function thread_init()
   told = io.open(os.getenv("SWITCH_BENCH_DIR") .. "/thread-" .. sysbench.tid, "a")
   original_init()
   for t = 1, sysbench.opt.tables do
      for key, statement in pairs(stmt[t]) do
         stmt[t][key] = clocked(statement, writes[key] and "write" or "read")
      end
   end
   stmt.begin = clocked(stmt.begin, "begin")
   stmt.commit = clocked(stmt.commit, "commit")
end

function sysbench.hooks.sql_error_ignorable(err)
   tell("E %.3f %d %s", now(), err.sql_errno, (err.sql_errmsg or ""):gsub("\n", " "))
   return true
end

function sysbench.hooks.before_restart_event(err)
   con:query("ROLLBACK")
end
