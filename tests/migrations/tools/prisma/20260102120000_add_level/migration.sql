-- AlterTable
ALTER TABLE "app"."Badge" ADD COLUMN     "level" INTEGER NOT NULL DEFAULT 1;

-- AlterTable
ALTER TABLE "app"."course" ADD COLUMN     "archivedAt" TIMESTAMP(3);
