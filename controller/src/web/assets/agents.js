// Readmits quarantined agents.

import { readmit } from "./actions.js";

export function buttons(after) {
  for (const button of document.querySelectorAll("[data-readmit]")) {
    button.hidden = false;
    button.onclick = async () => {
      button.disabled = true;
      if (await readmit(button.dataset.readmit)) after();
      else button.disabled = false;
    };
  }
}
