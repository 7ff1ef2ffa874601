// All of varve.
#pragma once

#include <varve/core/graph.h>
#include <varve/core/members.h>
#include <varve/core/ops/copy.h>
#include <varve/core/ops/index.h>
#include <varve/core/ops/make.h>
#include <varve/core/ops/matmul.h>
#include <varve/core/ops/pointwise.h>
#include <varve/core/ops/random.h>
#include <varve/core/ops/reduce.h>
#include <varve/core/ops/rows.h>
#include <varve/core/ops/views.h>
#include <varve/core/plan.h>
#include <varve/core/record.h>
