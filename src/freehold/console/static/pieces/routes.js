// What the overview and the rollout screen share: the states of a route, and the questions before it moves.

export const STATES = { incumbent: ["incumbent only", ""], shadow: ["mirroring", ""], canary: ["canary", "warn"], promoted: ["promoted", "good"],
  rolled_back: ["rolled back", "bad"], paused: ["paused", ""] };
export const PARTS = [["incumbent", "incumbent"], ["candidate", "candidate"]];
export const QUESTIONS = {
  "rollout.advance": { title: "Go one step further?", text: "The next larger share of users is answered by the candidate.", yes: "Advance" },
  "rollout.pause": { title: "Pause?", text: "The incumbent answers everyone for now. What was learned is kept.", yes: "Pause" },
  "rollout.promote": { title: "Promote?", text: "The candidate answers everyone.", yes: "Promote" },
  "rollout.rollback": { title: "Roll back?", text: "The incumbent answers everyone again, within a second. The rollout ends.", yes: "Roll back", danger: true },
};

/** Ask, then move a route. */
export const askStep = (view, action, route) => view.ask({ ...QUESTIONS[action], text: `${route}: ${QUESTIONS[action].text}` }, action, { route });
export const askRollback = (view, route) => askStep(view, "rollout.rollback", route);
