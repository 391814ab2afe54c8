// The pump between the page and the server.
//
// While the hand moves it asks for one picture at a time, always for the newest move, so that nothing piles up and the
// last move is never lost. A picture that was begun is shown even though the hand moved on meanwhile, or one that never
// stops would see none. Once the hand rests it goes on: measure, make the picture well where only a draft was shown,
// keep the step in the history, draw strips and maps. A newer move leaves all that at once.
(() => {
  const steer = window.steer;
  const BREATH = 60, REST = 280, JUDGE_EVERY = 400, AGAIN = 1000; // milliseconds

  const waiting = [];

  /** Call a function with the pump, now or as soon as there is one. */
  steer.whenPumping = (use) => (steer.pump ? use(steer.pump) : waiting.push(use));

  steer.startPump = (server, rested) => {
    steer.pump = makePump(server, rested);
    waiting.splice(0).forEach((use) => use(steer.pump));
    return steer.pump;
  };

  const makePump = (server, rested) => {
    const moves = { amounts: {}, windows: {} };
    const listeners = { moved: [], picture: [], judged: [], trouble: [] };
    const latencies = []; // milliseconds from a move to its pixels, the newest last
    let page = {}, view = "plain", jobs = () => [];
    let newest = 0, shown = 0, stamp = 0, looking = false, finished = true, judgedAt = 0, judging = 0;

    const tell = (what, value) => Promise.all(listeners[what].map((listen) => listen(value)));

    /** Call the server; undefined where it did not answer, null where the answer is of no use. */
    const ask = async (verb, more = {}) => {
      let answer;
      try {
        answer = await server[verb]({ key: page.key, revision: page.revision, stamp, ...more });
      } catch {
        answer = undefined;
      }
      if (answer?.busy) { // what this page asked for before is still being put away
        await steer.pause(BREATH);
        return ask(verb, more);
      }
      if (answer?.error) tell("trouble", `That did not work: ${answer.error}.`);
      else if (answer) tell("trouble", "");
      return answer?.error || answer?.overtaken ? null : answer;
    };

    const judge = async () => {
      const mine = (judging += 1);
      judgedAt = performance.now();
      const answer = await ask("judge");
      if (answer && mine === judging) tell("judged", answer);
    };

    const look = async () => {
      if (looking || !page.key) return;
      looking = true;
      while (shown !== newest) {
        const move = newest, movedAt = stamp;
        const answer = await ask("look", { ...moves, view });
        if (answer === undefined) {
          tell("trouble", "The server does not answer; trying again.");
          await steer.pause(AGAIN);
          continue;
        }
        shown = move;
        if (!answer) continue;
        finished = answer.finished;
        await tell("picture", answer);
        requestAnimationFrame(() => latencies.push(performance.now() - movedAt));
        latencies.splice(0, latencies.length - 500);
        if (performance.now() - judgedAt > JUDGE_EVERY) judge(); // nobody waits for it while the hand moves
      }
      looking = false;
      rest();
    };

    const rest = async () => {
      const move = newest;
      const moved = () => move !== newest;
      await steer.pause(BREATH);
      if (moved()) return;
      await judge();
      if (moved()) return;
      if (!finished) {
        const answer = await ask("finish", { view });
        if (moved() || !answer) return;
        finished = true;
        await tell("picture", answer);
        await judge();
      }
      await steer.pause(REST - BREATH);
      if (moved()) return;
      rested();
      for (const { verb, more, draw } of jobs()) {
        const answer = await ask(verb, more());
        if (moved()) return;
        if (answer) draw(answer);
      }
    };

    const touch = () => {
      newest += 1;
      stamp = performance.now();
      look();
    };

    const change = () => {
      tell("moved");
      touch();
    };

    return {
      latencies,
      moves,
      ask,
      /** Whether everything that was asked for is shown. */
      get still() { return shown === newest && finished && !looking; },
      on: (what, listen) => listeners[what].push(listen),
      /** Say where jobs for a resting hand come from: a list of { verb, more, draw }. */
      set jobs(list) { jobs = list; },
      /** Begin with the controls of a page as the server describes it. */
      begin: (described) => { page = described; },
      /** Show what the server has, though no knob was moved here. */
      touch: change,
      turn: (name, amount) => { moves.amounts[name] = amount; change(); },
      window: (name, start, end) => { moves.windows[name] = [start, end]; change(); },
      view: (name) => { view = name; touch(); },
      /** Do the jobs for a resting hand again, since others came into sight. */
      again: () => { if (!looking && shown === newest && page.key) rest(); },
    };
  };
})();
