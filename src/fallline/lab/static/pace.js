// How often to draw: as often as the eye likes and the processor, which the training needs, can spare.

// A redraw is followed by so many times what it took without one. The browser's other processes, which paint, take about as
// much again, so that this is 2 % of a processor.
const REST = 100;
const SHORTEST = 1000 / 60, LONGEST = 2000; // milliseconds between two

/**
 * Call `draw` in a frame soon after it was asked for, at its pace: what a redraw takes is measured up to the end of its
 * frame, with layout and paint. A page that nobody sees draws when it is seen again.
 * Returns {ask(), end()}.
 */
export function paced(draw) {
  let due = 0, timer = null, frame = 0, wanted = false, ended = false;
  const painted = new MessageChannel(); // a message sent within a frame arrives behind it
  let began = 0;
  painted.port1.onmessage = () => {
    const now = performance.now();
    due = now + Math.min(Math.max(REST * (now - began), SHORTEST), LONGEST);
    began = 0;
    if (wanted) ask();
  };
  const begin = () => {
    frame = 0;
    wanted = false;
    began = performance.now();
    painted.port2.postMessage(null);
    draw();
  };
  const ask = () => {
    wanted = true;
    if (ended || timer || frame || began) return;
    timer = setTimeout(() => {
      timer = null;
      frame = requestAnimationFrame(begin);
    }, Math.max(0, due - performance.now()));
  };
  return {
    ask,
    end() {
      ended = true;
      clearTimeout(timer);
      cancelAnimationFrame(frame);
      painted.port1.close();
    },
  };
}
