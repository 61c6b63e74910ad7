"""Text that every program contains: the barrier at which its threads meet, and the state of their arithmetic."""

from fallline.engine.target import Target

BARRIER_BYTES = 256
"""A barrier's memory: zero at first, aligned to 64 bytes. Arrivals at 0, generation at 128: on two cache lines that
are not neighbours, because processors fetch lines in pairs."""
PAUSES = 2000
"""How often a waiting thread looks before it offers its core to others: tens of microseconds. With far fewer, every
wait becomes a system call; without an end, a thread that waits for one without a core keeps it from getting one."""


def barrier_ir(target: Target) -> str:
    """Text that defines `void @barrier(ptr %b, i64 %threads)`: returns once all threads have called it.

    The last to arrive sets the count back to zero and raises the generation, which the others watch: so the barrier
    is ready for its next use before anybody leaves. What a thread wrote before the barrier, all can read after it.
    """
    pause, declared_pause = _pause(target)
    give, declared_give = ("SwitchToThread", "i32") if target.is_windows else ("sched_yield", "i32")
    return f"""
{declared_pause}
declare {declared_give} @{give}()

define internal void @barrier(ptr %b, i64 %threads) noinline {{
entry:
  %alone = icmp eq i64 %threads, 1
  br i1 %alone, label %out, label %arrive
arrive:
  %generation_at = getelementptr i8, ptr %b, i64 128
  %generation = load atomic i64, ptr %generation_at monotonic, align 8
  %before = atomicrmw add ptr %b, i64 1 acq_rel, align 8
  %arrived = add i64 %before, 1
  %last = icmp eq i64 %arrived, %threads
  br i1 %last, label %release, label %wait
release:
  store atomic i64 0, ptr %b monotonic, align 8
  %next = add i64 %generation, 1
  store atomic i64 %next, ptr %generation_at release, align 8
  br label %out
wait:
  %count = phi i64 [ 0, %arrive ], [ %counted, %again ]
  %seen = load atomic i64, ptr %generation_at acquire, align 8
  %same = icmp eq i64 %seen, %generation
  br i1 %same, label %more, label %out
more:
  %counted = add i64 %count, 1
  %spent = icmp ugt i64 %counted, {PAUSES}
  br i1 %spent, label %offer, label %again
again:
  {pause}
  br label %wait
offer:
  %offered = call {declared_give} @{give}()
  %seen_late = load atomic i64, ptr %generation_at acquire, align 8
  %still = icmp eq i64 %seen_late, %generation
  br i1 %still, label %offer, label %out
out:
  ret void
}}
"""


def floating_point_ir(target: Target) -> str:
    """Text that defines `i64 @enter_floating_point()` and `void @leave_floating_point(i64)`.

    Entering saves the state of a thread's arithmetic and sets what the exactness contract asks for: rounding to
    nearest, subnormal numbers kept (no flush to zero), no traps. Leaving restores what was found.
    """
    if target.is_x86:
        # MXCSR: all six exceptions masked (bits 7 to 12), everything else 0: nearest, no FTZ, no DAZ.
        return """
declare void @llvm.x86.sse.stmxcsr(ptr)
declare void @llvm.x86.sse.ldmxcsr(ptr)

define internal i64 @enter_floating_point() noinline {
  %found = alloca i32, align 4
  %wanted = alloca i32, align 4
  call void @llvm.x86.sse.stmxcsr(ptr %found)
  store i32 8064, ptr %wanted, align 4
  call void @llvm.x86.sse.ldmxcsr(ptr %wanted)
  %control = load i32, ptr %found, align 4
  %wide = zext i32 %control to i64
  ret i64 %wide
}

define internal void @leave_floating_point(i64 %found) noinline {
  %memory = alloca i32, align 4
  %control = trunc i64 %found to i32
  store i32 %control, ptr %memory, align 4
  call void @llvm.x86.sse.ldmxcsr(ptr %memory)
  ret void
}
"""
    # FPCR: all zero: nearest, no flush to zero, no default NaN, no traps.
    return """
declare i64 @llvm.aarch64.get.fpcr()
declare void @llvm.aarch64.set.fpcr(i64)

define internal i64 @enter_floating_point() noinline {
  %found = call i64 @llvm.aarch64.get.fpcr()
  call void @llvm.aarch64.set.fpcr(i64 0)
  ret i64 %found
}

define internal void @leave_floating_point(i64 %found) noinline {
  call void @llvm.aarch64.set.fpcr(i64 %found)
  ret void
}
"""


def _pause(target: Target) -> tuple[str, str]:
    """(the call that tells the processor that a thread is waiting, its declaration)."""
    if target.is_x86:
        return "call void @llvm.x86.sse2.pause()", "declare void @llvm.x86.sse2.pause()"
    return "call void @llvm.aarch64.hint(i32 1)", "declare void @llvm.aarch64.hint(i32)"
