/* A scalar twin of the stock environment: sells first, then buys from the largest order down,
 * orders of one size in asset order, whole shares, never more than the cash allows.
 *
 * One environment after the other, plain C99, no observations. MONEY is float, double, or with
 * WHOLE defined an integer that counts the smallest amounts. Prices come after the commission.
 */
#include <math.h>
#include <stdint.h>

#ifdef WHOLE
typedef int64_t money;
#define AFFORDED(cash, price) ((cash) / (price))
#else
typedef MONEY money;
#define AFFORDED(cash, price) ((money)floor((cash) / (price)))
#endif

enum { LANES = 32 }; /* most assets */

typedef struct {
    int32_t rows, assets, length;
    float max_shares;
    money cash;            /* starting capital */
    double scale;          /* reward of one unit of money */
    const money *proceeds; /* (rows, assets): what one share brings */
    const money *price;    /* (rows, assets): what one share takes */
    const money *mark;     /* (rows, assets) */
} Market;

typedef struct {
    money *cash, *value, *units; /* (envs), (envs), (envs, assets) */
    int32_t *row, *age;          /* (envs) */
    float *reward;               /* (envs) of the last step */
    uint8_t *ended;              /* (envs) */
} Accounts;

/* The account of one environment after the order that `action` means; returns the cash. */
static money settle(const Market *m, int row, money cash, money *units, const float *action)
{
    const money *proceeds = m->proceeds + (int64_t)row * m->assets;
    const money *price = m->price + (int64_t)row * m->assets;
    int32_t keys[LANES] = {0}, rank[LANES] = {0}, sorted[LANES];
    int count = 0;

    for (int i = 0; i < m->assets; i++) {
        float share = action[i] < -1 ? -1 : action[i] > 1 ? 1 : action[i];
        int32_t order = (int32_t)(share * m->max_shares);
        money wanted = order < 0 ? -order : 0;
        money sold = wanted < units[i] ? wanted : units[i];
        units[i] -= sold;
        cash += sold * proceeds[i];
        keys[i] = (order > 0 ? order : 0) * LANES + (LANES - 1 - i); /* size and asset in one */
        count += order > 0;
    }
    for (int k = 0; k < m->assets; k++) /* its place is how many are larger: no branch to mislead */
        for (int j = 0; j < LANES; j++)
            rank[j] += keys[k] > keys[j];
    for (int i = 0; i < m->assets; i++)
        sorted[rank[i]] = keys[i];
    for (int k = 0; k < count; k++) {
        int i = LANES - 1 - sorted[k] % LANES;
        money size = sorted[k] / LANES;
        money spent = size * price[i];
        if (spent > cash) { /* a division only where the cash runs out */
            if (price[i] > cash)
                continue;
            size = AFFORDED(cash, price[i]);
            spent = size * price[i];
        }
        units[i] += size;
        cash -= spent;
    }
    return cash > 0 ? cash : 0; /* in float money the quotient may be a share too many */
}

/* One step of every environment; an episode that ends begins again at the first row. */
static void step(const Market *m, Accounts *a, int32_t envs, const float *actions)
{
    int n = m->assets;
    for (int32_t e = 0; e < envs; e++) {
        money *units = a->units + (int64_t)e * n;
        int row = a->row[e];
        money cash = settle(m, row, a->cash[e], units, actions + (int64_t)e * n);
        const money *mark = m->mark + (int64_t)(row + 1) * n;
        money value = cash;
        for (int i = 0; i < n; i++)
            value += units[i] * mark[i];
        a->reward[e] = (float)(m->scale * (double)(value - a->value[e]));
        a->ended[e] = ++a->age[e] >= m->length || row + 1 >= m->rows - 1;
        if (a->ended[e]) {
            row = -1;
            a->age[e] = 0;
            cash = value = m->cash;
            for (int i = 0; i < n; i++)
                units[i] = 0;
        }
        a->row[e] = row + 1;
        a->cash[e] = cash;
        a->value[e] = value;
    }
}

/* `steps` steps under the actions of a pool, which are taken in turn. */
void twin_run(const Market *m, Accounts *a, int32_t envs, const float *pool, int32_t many,
              int32_t steps)
{
    for (int32_t t = 0; t < steps; t++)
        step(m, a, envs, pool + (int64_t)(t % many) * envs * m->assets);
}
