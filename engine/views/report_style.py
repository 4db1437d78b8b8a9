"""The style sheet of the report's page: light and dark, for screens of any width and for paper.

Pure. It loads nothing: no font, no image, no script.
"""

from __future__ import annotations

STYLE = """
:root{color-scheme:light dark;--bg:#fbfcfd;--card:#fff;--ink:#1c2733;--soft:#5b6876;--line:#dfe5eb;--band:#eef2f6;
--run:#5b9bd5;--crit:#e8833a;--bad:#d13438;--undo:#8a63c9;--wait:#93a1af;--good:#2e8b57;--est:#9aa7b4}
@media (prefers-color-scheme:dark){:root{--bg:#12171c;--card:#1a2128;--ink:#e4eaf0;--soft:#98a6b3;--line:#2c363f;
--band:#212a32;--run:#5a9fdd;--crit:#f0944d;--bad:#f0616d;--undo:#a78bda;--wait:#76848f;--good:#5bbd85;--est:#6d7a86}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:14px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,
"Noto Sans",sans-serif}
main{max-width:1240px;margin:0 auto;padding:24px 20px 48px}
h1{font-size:22px;margin:0;overflow-wrap:anywhere}
h2{font-size:16px;margin:32px 0 10px}
header{display:flex;flex-wrap:wrap;gap:4px 12px;align-items:center}
header p{margin:0;color:var(--soft);flex-basis:100%}
header p.message{color:var(--ink);white-space:pre-line;overflow-wrap:anywhere}
.badge{border-radius:99px;padding:2px 10px;font-size:12px;font-weight:600;border:1px solid currentColor}
.badge.completed{color:var(--good)}.badge.failed,.badge.compensation_failed{color:var(--bad)}
.badge.compensated,.badge.compensating{color:var(--undo)}.badge.degraded,.badge.interrupted{color:var(--crit)}
.badge.cancelled,.badge.pending,.badge.simulated{color:var(--soft)}.badge.running{color:var(--run)}
dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:10px;margin:18px 0 0}
dl div{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:10px 12px}
dt{color:var(--soft);font-size:12px}
dd{margin:2px 0 0;font-size:18px;font-weight:600;font-variant-numeric:tabular-nums}
dd small{display:block;font-size:12px;font-weight:400;color:var(--soft)}
.chart{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:6px 12px 12px;overflow-x:auto}
.chart>*{min-width:640px}
.row,.axis,.phase{display:grid;grid-template-columns:minmax(140px,290px) 1fr 150px;gap:0 12px;align-items:center}
.axis{position:sticky;top:0;background:var(--card);color:var(--soft);font-size:12px;height:26px;z-index:3}
.axis .track{height:18px}.axis span{position:absolute;transform:translateX(-50%);white-space:nowrap}
.axis span:first-child{transform:none}
.phase{background:var(--band);border-radius:4px;margin-top:8px;padding:3px 0;font-weight:600}
.phase>:first-child{grid-column:1/3;padding-left:8px;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.phase small{font-weight:400;color:var(--soft)}
.row{min-height:26px;border-bottom:1px solid var(--line)}
.row:last-child{border-bottom:0}
.name{padding-left:8px;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.name small{color:var(--soft)}
.critical .name{font-weight:600}.critical .name small{font-weight:400}
.critical .name::before{content:"\\25C6";color:var(--crit);margin-right:5px;font-size:10px}
.depth1 .name,.depth1.phase>:first-child{padding-left:24px}.depth2 .name,.depth2.phase>:first-child{padding-left:40px}
.took{font-size:12px;font-variant-numeric:tabular-nums;text-align:right;white-space:nowrap;padding-right:8px}
.took small{color:var(--soft);font-size:12px}.took .late{color:var(--bad)}
.track{position:relative;height:24px}
.grid{position:absolute;top:0;bottom:0;width:1px;background:var(--line)}
.bar{position:absolute;top:4px;height:12px;min-width:3px;border-radius:3px;background:var(--run);z-index:1}
.critical .bar{background:var(--crit)}
.group .bar{background:none;border:1px dashed var(--run)}
.bar.undo{background:var(--undo)}
.bar.failed,.bar.lost{background:var(--bad)}
.bar.lost{opacity:.6}
.bar.open{border-right:3px double var(--card)}
.bar.wait{background:repeating-linear-gradient(135deg,var(--wait) 0 2px,transparent 2px 6px);opacity:.9;top:7px;
height:6px;z-index:0}
.bar.slot{opacity:.45}
.est{position:absolute;bottom:2px;height:3px;border-radius:2px;background:var(--est)}
.est.on{border-top-right-radius:0;border-bottom-right-radius:0}
.idle{position:absolute;left:4px;top:3px;right:0;font-size:12px;color:var(--soft);overflow:hidden;
text-overflow:ellipsis;white-space:nowrap}
.legend{display:flex;flex-wrap:wrap;gap:4px 18px;margin:10px 0 0;padding:0;list-style:none;color:var(--soft);
font-size:12px}
.legend i{display:inline-block;width:22px;height:10px;border-radius:3px;margin-right:6px;position:static;min-width:0}
.legend .est{height:3px;vertical-align:middle}.legend .crit{background:var(--crit)}
table{width:100%;border-collapse:collapse;background:var(--card);border:1px solid var(--line);border-radius:8px}
th,td{padding:6px 12px;text-align:right;border-bottom:1px solid var(--line);font-variant-numeric:tabular-nums}
th{font-size:12px;color:var(--soft);font-weight:600}tr:last-child td{border-bottom:0}
th:first-child,td:first-child{text-align:left;overflow-wrap:anywhere}
td small{color:var(--soft)}
.wide{overflow-x:auto}
.failure{background:var(--card);border:1px solid var(--line);border-left:4px solid var(--bad);border-radius:6px;
padding:8px 12px;margin-bottom:8px;overflow-wrap:anywhere}
.failure p{margin:2px 0 0;white-space:pre-line}.failure .hint{color:var(--soft)}
.failure pre{margin:6px 0 0;white-space:pre-wrap;overflow-wrap:anywhere;font-size:12px;color:var(--soft)}
footer{margin-top:32px;color:var(--soft);font-size:12px}
@media print{body{background:#fff}.chart{overflow:visible}*{print-color-adjust:exact}}
@media (max-width:640px){main{padding:16px 10px}.row,.axis,.phase{grid-template-columns:110px 1fr 118px}}
"""
