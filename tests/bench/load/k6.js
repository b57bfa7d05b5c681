// The loads of the bench as k6 plays them; the last line that it prints is its own metrics.
import http from "k6/http";
import exec from "k6/execution";
import { check, sleep } from "k6";

const mode = __ENV.MODE;
const rate = Number(__ENV.RATE);
const vus = Number(__ENV.VUS);
const duration = `${__ENV.SECONDS}s`;

const executors = {
  bare: { executor: "constant-vus", vus, duration },
  full: { executor: "constant-vus", vus, duration },
  open: { executor: "constant-arrival-rate", rate, duration, preAllocatedVUs: vus, maxVUs: vus },
  many: { executor: "constant-vus", vus, duration, gracefulStop: "20s" },
  start: { executor: "per-vu-iterations", vus: 1, iterations: 1 },
};

export const options = {
  scenarios: { load: executors[mode] },
  summaryTrendStats: ["med", "p(99)"],
  discardResponseBodies: true,
};

const steps = {
  bare: () => http.get(`${__ENV.URL}/static`),
  start: () => http.get(`${__ENV.URL}/static`),
  open: () => http.get(`${__ENV.URL}/delay/20`),
  many: () => {
    http.get(`${__ENV.URL}/delay/1000`);
    sleep(1);
  },
  full: () => {
    const order = exec.scenario.iterationInTest;
    const body = JSON.stringify({
      user: exec.vu.idInTest,
      visit: exec.vu.iterationInInstance,
      order,
      name: `user-${String(exec.vu.idInTest).padStart(5, "0")}`,
      run: "closed-loop-20261122T000000",
    });
    const answer = http.post(`${__ENV.URL}/items/${order}`, body, {
      headers: { "Content-Type": "application/json" },
      tags: { name: "item", phase: "order", tier: "gold" },
    });
    check(answer, { "status is 200": (r) => r.status === 200 });
  },
};

export default steps[mode];

export function handleSummary(data) {
  return { stdout: JSON.stringify({ metrics: data.metrics, state: data.state }) + "\n" };
}
